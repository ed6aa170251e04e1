"""`sondad fleet` with real schedulers, workers and daemons on this machine."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.live_fleet import LiveFleet
from tests.support.polling import wait_until
from tests.support.terminal import Terminal
from tests.support.transcripts import environment

ENDLESS = """\
version: 2
scenarios:
  - {signal_type: metrics, name: endless, rate: 50, generator: {type: constant, value: 1}, sink: {type: memory},
     dynamic_labels: [{key: host, prefix: h, cardinality: 4}]}
"""
PACKED = """\
version: 2
scenarios:
  - {signal_type: metrics, pack: own, rate: 1, duration: 1s, sink: {type: memory}}
"""
PACK = """\
name: own
version: 2
kind: composable
category: test
description: of a test
metrics:
  - {name: shown, generator: {type: constant, value: VALUE}}
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LiveFleet]:
    fleet = LiveFleet(tmp_path)
    try:
        yield fleet
    finally:
        print(fleet.log())
        fleet.close()


def test_hosts_that_cannot_run_together_start_nothing(
    fleet: LiveFleet, start_server: StartServer, tmp_path: Path
) -> None:
    """One without a daemon, one with another pack, one that wants a key: every reason is told, exit code 1.

    Once only those are left that agree, the same command runs, and is seen and stopped from elsewhere.
    """
    catalogs = [write(tmp_path / name / "own.yaml", PACK.replace("VALUE", name[-1])).parent for name in ("c1", "c2")]
    daemons = [start_server("--catalog", str(catalog)) for catalog in (*catalogs, catalogs[0])]
    keyed = start_server(environment={"SONDA_API_KEY": "secret"})
    fleet.add_worker("same", daemons[0].url)
    fleet.add_worker("other", daemons[1].url)
    fleet.add_worker("none", "http://127.0.0.1:9")
    fleet.add_worker("keyed", keyed.url)
    write(tmp_path / "packed.yaml", PACKED)
    refused = fleet.command("run", "packed.yaml", "--catalog", str(catalogs[0]), "--hosts", "4")
    assert refused.returncode == 1
    head, *reasons = refused.stderr.splitlines()
    assert head == "error: the run was not started, for 4 reasons:"
    for told in (
        "no daemon at http://127.0.0.1:9: Connection refused",
        f"({daemons[1].url}): a recording or a pack that the scenario names is not the same as here",
        f"{keyed.url} wants an API key: set SONDA_API_KEY or SONDA_API_KEY_FILE",
        "4 hosts are wanted, 2 with a daemon are there",
    ):
        assert any(told in reason for reason in reasons), refused.stderr
    assert [daemon.get("/scenarios").json() for daemon in daemons] == [{"scenarios": []}] * 3

    for name in ("other", "none", "keyed"):
        fleet.workers[name].send_signal(signal.SIGTERM)
        fleet.workers[name].wait(60)
    fleet.add_plain_worker("third", daemons[2].url)
    wait_until(lambda: len(fleet.hosts()) == 2, "two hosts are left", 60)
    write(tmp_path / "endless.yaml", ENDLESS)
    running = fleet.begin("run", "endless.yaml", "--start-in", "1s", "--lost-after", "1s")

    def scenarios() -> list[dict[str, Any]]:
        return [one for host in fleet.hosts() for one in host["scenarios"]]

    wait_until(lambda: [one["segment"] for one in scenarios() if one["total_events"]] == ["1/2", "2/2"], "both run", 60)
    starts = {
        daemons[n].get(f"/scenarios/{one['id']}").json()["start_at"]
        for n, one in zip((0, 2), _by(daemons), strict=True)
    }
    assert len(starts) == 1
    stopped = fleet.command("stop", "endless", "--json")
    assert stopped.returncode == 0, stopped.stderr
    assert [one["state"] for host in json.loads(stopped.stdout) for one in host["scenarios"]] == ["stopped"] * 2
    _, said = running.communicate(timeout=100)
    # Somebody else has stopped it: what the run cannot know any more is a hole.
    assert running.returncode == 1
    assert said.count("its daemon does not have 1 of 1 scenarios any more") >= 2


def _by(daemons: list[Any]) -> list[dict[str, Any]]:
    return [daemons[number].get("/scenarios").json()["scenarios"][0] for number in (0, 2)]


def test_a_run_is_shown_live_and_stopped_by_ctrl_c(fleet: LiveFleet, start_server: StartServer, tmp_path: Path) -> None:
    """A line for each host and each entry; what was made is summed up, and nothing is left on the daemons."""
    daemons = [start_server(), start_server()]
    for number, daemon in enumerate(daemons):
        fleet.add_worker(f"w{number}", daemon.url)
    write(tmp_path / "endless.yaml", ENDLESS)
    wait_until(lambda: len(fleet.hosts()) == 2, "both hosts have joined", 60)
    words = ["run", "endless.yaml", "--scheduler-file", str(fleet.file), "--start-in", "1s", "--report", "report.json"]
    terminal = Terminal(["sondad", "fleet", *words], tmp_path, environment(tmp_path, TERM="xterm-256color"))
    try:
        for host in (f"({daemons[0].url})  segment ", f"({daemons[1].url})  segment ", "  ~ endless  events: "):
            terminal.wait_for(lambda shown, host=host: host in shown, "live lines")
        wait_until(lambda: [_events(daemon) > 0 for daemon in daemons] == [True, True], "both have made something", 60)
        terminal.type("\x03")
        assert terminal.wait() == 0
        assert "~ endless" not in terminal.shown()
    finally:
        terminal.close()
    report = json.loads((tmp_path / "report.json").read_text())
    (entry,) = report["entries"]
    assert entry["events"] == sum(host["events"] for host in report["hosts"]) > 0
    assert f"events: {entry['events']}" in terminal.shown()
    assert [daemon.get("/scenarios").json() for daemon in daemons] == [{"scenarios": []}] * 2
    counted = [
        int(line.partition("total_events=")[2].split()[0])
        for daemon in daemons
        for line in daemon.log_lines("scenario deleted")
    ]
    assert sum(counted) == entry["events"]


def _events(daemon: Any) -> int:
    ids = [one["id"] for one in daemon.get("/scenarios").json()["scenarios"]]
    return sum(daemon.stats(one)["total_events"] for one in ids)
