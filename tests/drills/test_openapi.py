"""The description of the API against the live server: every operation, with thousands of requests made from it."""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import StartServer
from tests.support.live_server import LiveServer

PROGRAM = str(Path(sys.executable).with_name("st"))
KEY = "sesame"
EXAMPLES = 20
# A schema cannot say everything that makes a scenario or an event usable, so these two would be wrong about bodies.
NOT_CHECKED = "positive_data_acceptance,negative_data_rejection"


def try_out(server: LiveServer, scratch: Path) -> str:
    """Run the tester over every operation; returns what it printed, its last lines when there is very much."""
    done = subprocess.run(
        [
            *(PROGRAM, "run", f"{server.url}/openapi.json", "--header", f"Authorization: Bearer {KEY}"),
            *("--max-examples", str(EXAMPLES), "--phases", "coverage,fuzzing", "--no-shrink", "--continue-on-failure"),
            *("--checks", "all", "--exclude-checks", NOT_CHECKED, "--warnings", "off", "--request-timeout", "20"),
        ],
        cwd=scratch,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    printed = "\n".join(line[:500] for line in (done.stdout + done.stderr).splitlines())
    assert done.returncode == 0, printed[-20_000:]
    return printed


def test_the_server_does_what_its_description_says(start_server: StartServer, tmp_path: Path) -> None:
    """No 5xx; statuses, headers and bodies are those described; whoever has no key is refused."""
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    server = start_server(*("--api-key", KEY, "--max-scenarios", "20", "--allow-path", str(nowhere)), piped_stdout=True)
    # What the scenarios write to stdout at full speed is to fill nothing.
    server.stdout.close()
    printed = try_out(server, tmp_path)
    described = server.get("/openapi.json").json()["paths"]
    # The tester leaves out the description itself.
    operations = sum(len(methods) for methods in described.values()) - 1
    assert f"{operations} selected / {operations} total" in printed
    assert int(re.search(r"([\d,]+) generated", printed)[1].replace(",", "")) > 500  # type: ignore[index]
    assert server.get("/health").status_code == 200
