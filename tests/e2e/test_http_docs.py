"""The HTTP reference: each of its commands is typed, word for word, the port aside; each call has one."""

import re
import subprocess
from pathlib import Path

import msgspec

from tests.support.backends import backend
from tests.support.exposition_reading import samples
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/http.md").read_text()
COMMANDS = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(title: str) -> list[str]:
    """What the first column of a section's table names in backticks."""
    rows = re.findall(r"^\| (`[^|]*) \|", section(title), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]*)`", row)]


def test_every_command_succeeds(shared_server: LiveServer, tmp_path: Path) -> None:
    """Typed one after the other they start, show, scrape and stop scenarios, deliver events and get documents."""
    backend("curl")
    server = shared_server
    typed = COMMANDS.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}").replace("/tmp/", f"{tmp_path}/")
    done = subprocess.run(
        # Failures that curl alone would pass over.
        ["bash", "-euo", "pipefail", "-c", typed.replace("curl -sS", "curl -sS --fail-with-body")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r'^http_requests_per_second\{instance="web-01:9100",job="shop"\} \S+ \d{13}$', done.stdout, re.M)
    assert re.search(r'^http_requests_per_second\{instance="web-01:9100",job="shop"\} \S+$', done.stdout, re.M)
    assert re.search(r'\{"id":"[0-9a-f-]{36}","status":"stopped","total_events":\d+\}', done.stdout)
    assert done.stdout.count('{"sent":true') == 2
    assert "sondad_worker_processes{" in done.stdout
    assert done.stdout.rstrip().endswith('"autostart_expected":0}')
    lines = server.stdout_path.read_text()
    assert '"message":"deployed"' in lines
    assert 'deployments{app="shop"} 1 ' in lines
    assert msgspec.json.decode((tmp_path / "scenario.schema.json").read_bytes()) == server.get("/schema").json()
    assert msgspec.json.decode((tmp_path / "openapi.json").read_bytes()) == server.get("/openapi.json").json()


def test_every_call_has_a_command(shared_server: LiveServer) -> None:
    """Each route and method that the server describes is called by a command of the page."""
    called = set()
    for command in re.findall(r"curl [^\n|]*", COMMANDS):
        path = re.search(r"http://127\.0\.0\.1:8080(/[^\s\"?]*)", command)
        method = re.search(r"-X (\w+)", command)
        assert path, command
        called.add((path[1].replace("$id", "{id}"), method[1] if method else "GET"))
    described = shared_server.get("/openapi.json").json()["paths"]
    assert called == {(route, method.upper()) for route, methods in described.items() for method in methods}


def test_every_figure_is_explained(server: LiveServer) -> None:
    """The fields of the stats, in any order, and the families about workers, each once."""
    (row,) = server.launch((ROOT / "examples/basic-metrics.yaml").read_text())
    named = set(first_cells("Stats"))
    assert set(server.stats(row["id"])) == named
    explained = {name for name in first_cells("The daemon itself") if name.startswith("sondad_")}

    def shown() -> set[str]:
        families = {re.sub(r"\{.*", "", series) for series in samples(server.get("/metrics?own=1").text)}
        return {family for family in families if family.startswith("sondad_")}

    wait_until(lambda: len(shown()) >= len(explained) - 1, "a second has passed, so that lateness is known")
    assert shown() | {"sondad_relay_up"} == explained


def test_every_status_is_explained(shared_server: LiveServer) -> None:
    """Whatever the description says may be answered to a call that failed stands in the table."""
    table = {int(status) for status in re.findall(r"^\| (\d{3}) \|", section("Answers"), re.MULTILINE)}
    described = {
        int(status)
        for methods in shared_server.get("/openapi.json").json()["paths"].values()
        for method in methods.values()
        for status in method["responses"]
    }
    # The table is about every call, so it has no 503, which only a probe answers.
    assert table | {503} == {status for status in described if status >= 400} | {401, 405, 503}
