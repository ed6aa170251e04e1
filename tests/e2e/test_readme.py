"""What the README and the first steps tell users to type is typed, word for word, the port aside."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends import backend
from tests.support.live_server import LiveServer, new_session
from tests.support.polling import wait_until

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/first-steps.md")
# The interpreter that runs the tests, so that make never replaces the environment under them.
MAKE = ("make", f"PYTHON={sys.executable}")


def clean_environment() -> dict[str, str]:
    """The environment without what a make or a daemon around the tests left in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "SONDA_"))}


def make(*arguments: str) -> str:
    """Run make in the checkout and return what it prints."""
    done = subprocess.run(
        [*MAKE, *arguments], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shell_blocks(page: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def run(script: str, server: LiveServer, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run shell text from the checkout; what it keeps under /tmp goes to a directory of the test's own."""
    typed = script.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}").replace("/tmp/", f"{scratch}/")
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", typed], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_curl_lines_work(shared_server: LiveServer, tmp_path: Path, page: str) -> None:
    """Typed one after the other they start, show, scrape and end scenarios; every answer is a success."""
    backend("curl")
    server = shared_server
    blocks = [block for block in shell_blocks(page) if not block.startswith("make ")]
    assert all("127.0.0.1:8080" in block for block in blocks)
    # Failures that curl alone would pass over.
    outcome = run("\n".join(blocks).replace("curl -sS", "curl -sS --fail-with-body"), server, tmp_path)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    answers = outcome.stdout
    assert '"state":"running"' in answers or '"state":"pending"' in answers
    assert '"total_events":' in answers
    assert re.search(r'\{"id":"[0-9a-f-]{36}","status":"stopped","total_events":\d+\}$', answers.strip())
    if page == "README.md":
        assert re.search(r'^room_temperature_celsius\{room="kitchen"\} \S+ \d{13}$', answers, re.MULTILINE)


@pytest.fixture
def made_server() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The daemon as `make serve` starts it, on a free port; and that port."""
    process = subprocess.Popen(
        [*MAKE, "--silent", "serve", "ARGS=--port 0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
        start_new_session=True,
    )
    assert process.stdout
    with process.stdout:
        try:
            yield process, json.loads(process.stdout.readline())["sonda_server"]["port"]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def test_make_serve_starts_the_control_plane(made_server: tuple[subprocess.Popen[bytes], int]) -> None:
    """The README's first command needs nothing before it: the port is announced and answers, on loopback only."""
    assert "make serve\n" in shell_blocks("README.md")
    process, port = made_server
    with new_session() as session:
        answer = session.get(f"http://127.0.0.1:{port}/health", timeout=10)
    assert answer.status_code == 200
    os.killpg(process.pid, signal.SIGINT)
    wait_until(lambda: process.poll() is not None, "Ctrl-C ends it")


def test_make_test_is_the_check() -> None:
    """The README's second command prepares, installs and runs the check; machines run it and the long tests."""
    assert "make test\n" in shell_blocks("README.md")
    plan = make("--dry-run", "test")
    assert "tests/prepare" in plan
    assert plan.rstrip().endswith("tests/check")
    assert "\nmake test\nmake drills\n" in (ROOT / ".ci" / "run").read_text()


def test_a_file_runs_without_the_daemon() -> None:
    """The README's command line, typed as it stands, prints the example's samples and ends by itself."""
    (block,) = (text for text in shell_blocks("README.md") if "sondad run" in text)
    command = block.splitlines()[1].replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    # Ticks that are overdue at the end on a busy machine are left out.
    assert re.fullmatch(r"(cpu_usage \S+ \d{13}\n){10,30}", done.stdout)


def test_installing_twice_does_nothing() -> None:
    """`make install` is idempotent, and quick because there is nothing left to run."""
    make("install")
    assert "Nothing to be done" in make("install")
