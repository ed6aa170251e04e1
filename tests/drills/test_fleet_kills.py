"""A fleet of which something dies at any instant: the load goes on where it must, and what is said is what was made."""

import json
import random
import signal
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.live_fleet import LiveFleet, kill
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.ports import free_port

RATE = 500
SECS = 8
SCENARIO = """\
version: 2
scenarios:
  - {signal_type: metrics, name: load, rate: RATE, duration: SECSs, start_time: "2026-01-01T00:00:00Z",
     generator: {type: sine, amplitude: 5, period_secs: 3, offset: 2},
     dynamic_labels: [{key: host, prefix: h, cardinality: 8}], sink: {type: tcp, address: "ADDRESS"}}
"""


class Lines:
    """A TCP server that keeps every whole line that comes."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        kept = self.lines

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    if line.endswith(b"\n"):
                        kept.append(line)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Stage:
    """Two daemons that take part in a fleet, and a receiver that counts by itself.

    Args:
        directory: for everything.
        start_server: starts daemons.
        first: flags of the first one.
    """

    def __init__(self, directory: Path, start_server: StartServer, first: tuple[str, ...] = ()) -> None:
        self.receiver = Lines()
        self.daemons = [start_server(*first), start_server()]
        self.port = str(free_port())
        self.fleet = LiveFleet(directory)
        self.fleet.scheduler.send_signal(signal.SIGTERM)
        self.fleet.scheduler.wait(60)
        self.fleet.start_scheduler(self.port)
        self.join()
        self.scenario = directory / "load.yaml"
        self.report = directory / "report.json"

    def join(self) -> None:
        """Start the workers of both hosts."""
        for name, daemon in zip("ab", self.daemons, strict=True):
            self.fleet.add_worker(name, daemon.url)

    def run_until(self, events: int, *flags: str, lost_after: str = "3s", secs: int = SECS) -> Any:
        """Begin a run, and return its process once so many events were received."""
        told = {"RATE": str(RATE), "SECS": str(secs), "ADDRESS": self.receiver.address}
        text = SCENARIO
        for word, value in told.items():
            text = text.replace(word, value)
        self.scenario.write_text(text)
        process = self.fleet.begin(
            *("run", "load.yaml", "--scheduler", f"tcp://127.0.0.1:{self.port}", "--hosts", "2", "--start-in", "2s"),
            *("--lost-after", lost_after, "--report", str(self.report), *flags),
        )
        try:
            wait_until(lambda: len(self.receiver.lines) >= events or process.poll() is not None, "events come", 90)
        except AssertionError:
            process.kill()
            raise AssertionError(process.communicate()) from None
        assert process.poll() is None, process.communicate()
        return process

    def ended(self, process: Any) -> tuple[int, str, dict[str, Any]]:
        """Wait for a run; returns its exit code, what it has printed, and its report."""
        _, said = process.communicate(timeout=150)
        print(said)
        return process.returncode, said, json.loads(self.report.read_text())

    def made(self) -> int:
        """How many events the daemons say that they have made of what they still have."""
        return sum(
            daemon.stats(one["id"])["total_events"]
            for daemon in self.daemons
            for one in daemon.get("/scenarios").json()["scenarios"]
        )

    def settle(self, count: int) -> None:
        """Wait until so many lines were received, and see that none came twice and none is of another run."""
        wait_until(lambda: len(self.receiver.lines) >= count, f"{count} lines were received", 60)
        assert len(set(self.receiver.lines)) == len(self.receiver.lines)

    def close(self) -> None:
        print(self.fleet.log())
        self.fleet.close()
        self.receiver.close()


@pytest.fixture
def stage(tmp_path: Path, start_server: StartServer) -> Iterator[Stage]:
    stage = Stage(tmp_path, start_server)
    try:
        yield stage
    finally:
        stage.close()


def instant() -> int:
    """How many events are received when something dies: any time of the first half of a run."""
    return random.randrange(1, SECS * RATE // 2)


def test_a_killed_scheduler_stops_no_load(stage: Stage) -> None:
    """The daemons go on; with the next scheduler at the same address the run is followed to its end."""
    process = stage.run_until(instant(), lost_after="2m")
    kill(stage.fleet.scheduler)
    for worker in stage.fleet.workers.values():
        worker.wait(60)
    stage.fleet.start_scheduler(stage.port)
    stage.join()
    code, said, report = stage.ended(process)
    assert code == 0, said
    assert " is silent: " in said
    assert "answers again" in said
    stage.settle(report["entries"][0]["events"])
    assert len(stage.receiver.lines) == report["entries"][0]["events"]


def test_a_scheduler_that_stays_away_is_told(stage: Stage) -> None:
    """The load is made to its end; the command says what it knew last, and that this is not all."""
    process = stage.run_until(instant())
    kill(stage.fleet.scheduler)
    code, said, report = stage.ended(process)
    assert code == 1
    assert said.count(" was lost: no more is known of segment ") == 2
    wait_until(lambda: len(stage.receiver.lines) == stage.made() > 0 and _all_finished(stage), "all is made", 60)
    stage.settle(report["entries"][0]["events"])
    assert report["entries"][0]["events"] <= len(stage.receiver.lines)


def _all_finished(stage: Stage) -> bool:
    listed = [one for daemon in stage.daemons for one in daemon.get("/scenarios").json()["scenarios"]]
    return len(listed) == 2 and all(one["state"] == "finished" for one in listed)


def test_a_killed_command_stops_no_load(stage: Stage) -> None:
    """The run goes on to its end, `status` knows what was made, and `stop` takes it away."""
    process = stage.run_until(instant())
    kill(process)
    wait_until(lambda: _all_finished(stage), "the run is over", 90)
    rows = [one for host in stage.fleet.hosts() for one in host["scenarios"]]
    assert [one["segment"] for one in rows] == ["1/2", "2/2"]
    stage.settle(sum(one["total_events"] for one in rows))
    assert len(stage.receiver.lines) == sum(one["total_events"] for one in rows)
    assert stage.fleet.command("stop", "load").returncode == 0
    assert all(host["scenarios"] == [] for host in stage.fleet.hosts())


def test_a_killed_worker_stops_no_load(stage: Stage) -> None:
    """Its daemon goes on; with another worker it is followed on, and nothing is missing."""
    process = stage.run_until(instant(), lost_after="2m")
    kill(stage.fleet.workers["a"])
    stage.fleet.add_worker("c", stage.daemons[0].url)
    code, said, report = stage.ended(process)
    assert code == 0, said
    stage.settle(report["entries"][0]["events"])
    assert len(stage.receiver.lines) == report["entries"][0]["events"]
    assert [daemon.get("/scenarios").json() for daemon in stage.daemons] == [{"scenarios": []}] * 2


@pytest.mark.parametrize("flags", [(), ("--on-lost", "take-over")], ids=["hole", "take-over"])
def test_a_killed_daemon_is_a_hole(stage: Stage, flags: tuple[str, ...]) -> None:
    """No more is claimed than was received; a take-over makes the rest from the tick of then, and nothing twice."""
    # The other host needs time to go on with it.
    process = stage.run_until(instant(), *flags, lost_after="4s", secs=20 if flags else SECS)
    victim, other = stage.daemons
    assert isinstance(victim, LiveServer)
    kill(victim)
    code, said, report = stage.ended(process)
    assert code == 1
    (lost,) = [host for host in report["hosts"] if host["daemon"] == victim.url and host["state"] != "over"]
    assert f"({victim.url}) was lost: no more is known of segment {lost['segment']} (4 of 8 series, 50.0 % of " in said
    others = [host for host in report["hosts"] if host is not lost]
    assert all(host["daemon"] == other.url and host["state"] == "over" for host in others)
    # What the victim has made beyond what was known of it has come, too.
    stage.settle(sum(host["events"] for host in report["hosts"]))
    taken = [host for host in others if host["segment"] == lost["segment"]]
    assert len(taken) == len(flags) // 2
    if taken:
        assert taken[0]["events"] > 0
        assert f", until {taken[0]['host']} ({other.url}) took it over at " in said


def test_a_daemon_that_keeps_its_runs_comes_back(tmp_path: Path, start_server: StartServer) -> None:
    """A killed daemon with a state directory goes on when it is started again, and the run is followed on."""
    state = ("--port", str(free_port()), "--state-dir", str(tmp_path / "state"))
    stage = Stage(tmp_path, start_server, first=state)
    try:
        process = stage.run_until(instant(), lost_after="2m", secs=12)
        kill(stage.daemons[0])
        start_server(*state)
        code, said, report = stage.ended(process)
        assert code == 0, said
        # It may be back before it was asked again.
        assert (" is silent: " in said) == ("answers again" in said)
        assert [host["state"] for host in report["hosts"]] == ["over", "over"]
        assert min(host["events"] for host in report["hosts"]) > 0
        wait_until(lambda: len(set(stage.receiver.lines)) >= report["entries"][0]["events"] - RATE, "they came", 60)
    finally:
        stage.close()
