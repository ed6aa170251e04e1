"""One real worker process over a real control pipe and board: its life, and everything that ends it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from common.messages import Finished, Prepared, Ready, Run, Start, Stop
from common.specs import File, Memory, Step, Tcp
from common.states import State
from common.wire import send
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.processes import has_ended, title_of
from tests.support.worker_process import WorkerProcess, worker_processes

NS = 1_000_000_000


@pytest.fixture
def spare() -> Iterator[WorkerProcess]:
    with worker_processes() as (worker,):
        yield worker


def title(worker: WorkerProcess) -> str:
    return title_of(psutil.Process(worker.process.pid)).rstrip()


def whole_lines(path: Path) -> int:
    """Return how many lines the file has; its values must be 0, 1, 2, …, its last line whole."""
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [int(line.split()[1]) for line in lines] == list(range(len(lines)))
    return len(lines)


def test_a_scenario_from_ready_to_finished(spare: WorkerProcess, tmp_path: Path) -> None:
    """Parked with one thread and the preload, prepared, run to its duration, all events in the file, exit code 0."""
    ready = spare.wait_for(Ready)
    assert (ready.threads, ready.preloaded) == (1, True)
    assert title(spare) == "sondad: worker (spare)"
    plan = entry_plan(
        name="up", rate=100.0, duration_ns=NS, generator=Step(step_size=1), sink=File(path=str(tmp_path / "out"))
    )
    spare.send(Run(scenario_id="abc", entry=plan))
    spare.wait_for(Prepared)
    assert title(spare) == "sondad: scenario up abc"
    assert spare.counters().total_events == 0
    spare.send(Start(start_ns=time.monotonic_ns(), wall_ns=time.time_ns()))
    assert spare.finished() == Finished(reason="duration", scenario_id="abc")
    assert spare.ended() == 0
    counters = spare.counters()
    assert (counters.state, counters.errors) == (State.FINISHED, 0)
    # Ticks that are overdue at the end on a busy machine are left out.
    assert 0 < counters.total_events == whole_lines(tmp_path / "out") <= 100
    assert spare.recent().values.tolist() == [float(k) for k in range(counters.total_events)]


def test_a_stop_ends_a_run_at_once_with_everything_written(spare: WorkerProcess, tmp_path: Path) -> None:
    """However fast it goes, the file holds what was counted."""
    spare.start(entry_plan(rate=1e9, generator=Step(step_size=1), sink=File(path=str(tmp_path / "out"))))
    wait_until(lambda: spare.counters().total_events > 10_000, "events")
    spare.stop()
    assert spare.finished().reason == "stopped"
    assert spare.ended() == 0
    assert spare.counters().total_events == whole_lines(tmp_path / "out")


def test_a_worker_that_runs_gives_way(spare: WorkerProcess) -> None:
    """The control plane, and workers that are being started, are served before it."""
    process = psutil.Process(spare.process.pid)
    before = process.nice()
    spare.start(entry_plan(sink=Memory()))
    wait_until(lambda: process.nice() > before, "it gives way")
    spare.stop()


@pytest.mark.parametrize("when", ["parked", "prepared", "waiting"])
def test_sigterm_ends_a_worker_wherever_it_waits(spare: WorkerProcess, when: str) -> None:
    """Parked, prepared, or waiting for a tick that is an hour away: exit code 0."""
    pid = spare.process.pid
    assert pid is not None
    if when == "parked":
        spare.wait_for(Ready)
    elif when == "prepared":
        spare.prepare(entry_plan())
    else:
        spare.start(entry_plan(rate=1 / 3600))
        wait_until(lambda: spare.counters().total_events == 1, "the first event")
    os.kill(pid, signal.SIGTERM)
    if when != "parked":
        assert spare.finished().reason == "stopped"
    assert spare.ended() == 0


def test_sigint_is_the_supervisors_affair(spare: WorkerProcess) -> None:
    """Ctrl-C reaches the whole process group; a worker goes on until it is told to stop."""
    spare.start(entry_plan(rate=100.0))
    wait_until(lambda: spare.counters().total_events, "events")
    assert spare.process.pid is not None
    os.kill(spare.process.pid, signal.SIGINT)
    seen = spare.counters().total_events
    wait_until(lambda: spare.counters().total_events > seen + 5, "more events")
    spare.stop()
    assert spare.finished().reason == "stopped"


@pytest.fixture
def deaf_peer() -> Iterator[str]:
    """A server that accepts nothing beyond its backlog and reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def blocked_on(spare: WorkerProcess, address: str) -> None:
    """Let the worker send to a peer that never reads, until it hangs."""
    spare.start(entry_plan(rate=1e9, sink=Tcp(address=address)))
    wait_until(lambda: spare.counters().total_events, "events")
    # It never waits for a tick.
    wait_until(lambda: psutil.Process(spare.process.pid).status() == psutil.STATUS_SLEEPING, "the worker waits")


def test_a_second_sigterm_ends_a_worker_at_once(spare: WorkerProcess, deaf_peer: str) -> None:
    """The first one leaves the blocked sink its time, the second does not."""
    blocked_on(spare, deaf_peer)
    assert spare.process.pid is not None
    os.kill(spare.process.pid, signal.SIGTERM)
    assert spare.ended(0.3) is None
    os.kill(spare.process.pid, signal.SIGTERM)
    assert spare.ended() == 143


def test_a_peer_that_never_reads_cannot_outlast_a_stop(spare: WorkerProcess, deaf_peer: str) -> None:
    """The worker leaves within the stop's deadline; what was not delivered is counted as failed."""
    blocked_on(spare, deaf_peer)
    spare.stop(window_secs=1.5)
    assert spare.finished().reason == "stopped"
    assert spare.ended() == 0
    counters = spare.counters()
    assert counters.errors == counters.total_sink_failures > 0
    assert counters.last_sink_error == f"TCP write to {deaf_peer}: Connection timed out (os error 110)"


def test_a_worker_whose_supervisor_closed_the_pipe_leaves(spare: WorkerProcess, tmp_path: Path) -> None:
    """End of file on the pipe is the end of the run; what was counted is written."""
    spare.start(entry_plan(rate=1000.0, generator=Step(step_size=1), sink=File(path=str(tmp_path / "out"))))
    wait_until(lambda: spare.counters().total_events > 10, "events")
    spare.connection.close()
    assert spare.ended() == 0
    assert spare.counters().total_events == whole_lines(tmp_path / "out")


PARENT = """
import sys, time
from tests.support.worker_process import worker_processes
from tests.support.plans import entry_plan
from common.specs import File, Step, Tcp
from common.messages import Ready
if __name__ == "__main__":
    path, address = sys.argv[1:]
    with worker_processes(3) as workers:
        workers[0].start(entry_plan(rate=1e9, generator=Step(step_size=1), sink=File(path=path)))
        workers[1].start(entry_plan(rate=1e9, sink=Tcp(address=address)))
        workers[2].wait_for(Ready)
        while not (workers[0].counters().total_events and workers[1].counters().total_events):
            time.sleep(0.01)
        print(*(worker.process.pid for worker in workers), flush=True)
        time.sleep(60)
"""


def test_workers_flush_and_leave_when_the_supervisor_is_killed(tmp_path: Path, deaf_peer: str) -> None:
    """After SIGKILL of the parent: a spare, a running and a blocked worker are gone, and no line is torn."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "out"), deaf_peer], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(workers) == 3
        parent.kill()
        wait_until(lambda: all(map(has_ended, workers)), "no worker is left")
    assert whole_lines(tmp_path / "out") > 0


def test_what_goes_wrong_unexpectedly_is_told(spare: WorkerProcess) -> None:
    """An exception that nobody planned arrives as data with its traceback, and the row says finished."""
    spare.start(entry_plan(anchor_ns=2**62, rate=1e-9 + 1, duration_ns=NS, shift_ns=2**62))
    finished = spare.finished()
    assert finished.reason == "failed"
    assert finished.fault is not None
    assert finished.fault.cause == "runtime"
    assert "worker/ticks/schedule.py" in finished.fault.traceback
    assert spare.ended() == 0
    assert spare.counters().state == State.FINISHED


def test_a_planned_failure_has_no_traceback(spare: WorkerProcess, tmp_path: Path) -> None:
    """A sink that cannot be opened is named with its reason."""
    spare.start(entry_plan(sink=File(path=f"{tmp_path}")))
    finished = spare.finished()
    assert finished.fault is not None
    assert finished.fault.cause == "sink"
    assert finished.fault.message == f"failed to open {tmp_path} for writing: Is a directory (os error 21)"
    assert finished.fault.traceback == ""
    assert spare.counters().last_sink_error == finished.fault.message


def test_a_stop_before_the_start_ends_a_prepared_worker(spare: WorkerProcess) -> None:
    """Nothing is opened, nothing is emitted."""
    spare.prepare(entry_plan(sink=Memory()))
    send(spare.connection, Stop(deadline_ns=time.monotonic_ns() + NS))
    assert spare.finished().reason == "stopped"
    assert spare.ended() == 0


MODULES = """
import sys, worker.preload
print(*sys.modules)
"""


def test_a_worker_holds_nothing_of_the_control_plane() -> None:
    """What the template preloads has no web server, no YAML and nothing of the supervisor."""
    done = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"worker", "numpy", "msgspec"} <= packages
    assert packages.isdisjoint(
        {"falcon", "waitress", "yaml", "supervisor", "grpc", "confluent_kafka", "cramjam", "greenlet"}
    )
