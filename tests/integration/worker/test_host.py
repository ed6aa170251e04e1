"""One real worker process that hosts several entries: they share it and nothing else."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from common.messages import Follow, Lose, Prepared, Run, Start, Watch
from common.plan import EntryPlan, GatePlan
from common.specs import File, Sequence, Step, Tcp
from common.states import State
from common.wire import send_with_descriptor
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.worker_process import HostingWorker, hosting_worker, worker_processes

NS = 1_000_000_000


@pytest.fixture
def worker() -> Iterator[HostingWorker]:
    with hosting_worker() as worker:
        yield worker


@pytest.fixture
def deaf_peer() -> Iterator[str]:
    """A server that accepts nothing beyond its backlog and reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def steps_to(path: Path, rate: float, duration_secs: float | None = None) -> EntryPlan:
    return entry_plan(
        rate=rate,
        duration_ns=None if duration_secs is None else int(duration_secs * NS),
        generator=Step(step_size=1),
        sink=File(path=str(path)),
    )


def whole_lines(path: Path) -> int:
    """Return how many lines the file has; its values must be 0, 1, 2, …, its last line whole."""
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [int(line.split()[1]) for line in lines] == list(range(len(lines)))
    return len(lines)


def test_entries_share_a_process_and_end_apart(worker: HostingWorker, tmp_path: Path) -> None:
    """Each to its own duration, with its own row and last message; the process stays until it is stopped."""
    for number in range(1, 6):
        worker.add(
            f"e{number}", steps_to(tmp_path / f"e{number}", rate=200.0 * number, duration_secs=0.8 + 0.2 * number)
        )
    worker.start_all()
    for number in range(1, 6):
        assert worker.finished_of(f"e{number}").reason == "duration"
        counters = worker.counters_of(f"e{number}")
        assert (counters.state, counters.errors) == (State.FINISHED, 0)
        assert counters.total_events == whole_lines(tmp_path / f"e{number}") > 0
    assert worker.ended(0.1) is None
    worker.stop()
    assert worker.ended() == 0


def test_an_entry_writes_what_it_would_write_alone(worker: HostingWorker, tmp_path: Path) -> None:
    """To the byte, beside others of other rates."""
    alone = msgspec.structs.replace(steps_to(tmp_path / "alone", 2000.0, 1.0), anchor_ns=NS)
    with worker_processes() as (single,):
        single.start(alone)
        single.finished()
    shared = msgspec.structs.replace(alone, sink=File(path=str(tmp_path / "shared")))
    worker.add("shared", shared)
    for number in range(4):
        worker.add(f"e{number}", steps_to(tmp_path / f"e{number}", rate=300.0 * (number + 1)))
    worker.start_all()
    worker.finished_of("shared")
    # A machine that stalls at the end of a run costs it the ticks that are overdue by then.
    common = min(whole_lines(tmp_path / "shared"), whole_lines(tmp_path / "alone"))
    assert common > 0
    first, second = ((tmp_path / name).read_bytes().splitlines()[:common] for name in ("shared", "alone"))
    assert first == second


def test_a_stop_ends_the_entry_that_it_names(worker: HostingWorker, tmp_path: Path) -> None:
    """With everything written; the others go on, and new ones may come."""
    for name in ("a", "b"):
        worker.add(name, steps_to(tmp_path / name, rate=500.0))
    worker.start_all()
    wait_until(lambda: worker.counters_of("a").total_events, "events")
    worker.stop_one("a")
    assert worker.finished_of("a").reason == "stopped"
    assert worker.counters_of("a").total_events == whole_lines(tmp_path / "a")
    seen = worker.counters_of("b").total_events
    wait_until(lambda: worker.counters_of("b").total_events > seen + 50, "more events of the other")
    worker.add("c", steps_to(tmp_path / "c", rate=500.0))
    worker.send(Start(start_ns=time.monotonic_ns(), wall_ns=time.time_ns(), scenario_id="c"))
    wait_until(lambda: worker.counters_of("c").total_events > 50, "events of the new one")
    worker.stop()
    assert {worker.finished_of(name).reason for name in ("b", "c")} == {"stopped"}
    assert worker.ended() == 0


def test_a_stop_before_the_start_ends_a_prepared_entry(worker: HostingWorker, tmp_path: Path) -> None:
    """Nothing is opened; what is sent to it afterwards disturbs nobody."""
    worker.add("a", steps_to(tmp_path / "a", rate=500.0))
    worker.stop_one("a")
    assert worker.finished_of("a").reason == "stopped"
    assert not (tmp_path / "a").exists()
    bell = os.eventfd(0)
    send_with_descriptor(worker.connection, Watch(wire_id=0, op=">", value=0.5, scenario_id="a"), bell)
    worker.send(Lose(scenario_id="a"))
    worker.stop_one("a")
    worker.add("b", steps_to(tmp_path / "b", rate=500.0, duration_secs=0.1))
    worker.start_all()
    assert worker.finished_of("b").reason == "duration"
    os.close(bell)


def test_a_failing_sink_ends_its_entry_alone(worker: HostingWorker, tmp_path: Path, deaf_peer: str) -> None:
    """One that cannot be opened, one that breaks under `on_sink_error: fail`, and one that has a fault of ours."""
    closed = deaf_peer.rpartition(":")[0] + ":1"
    plan = steps_to(tmp_path / "good", rate=1000.0)
    worker.add("good", plan)
    worker.add("directory", msgspec.structs.replace(plan, sink=File(path=str(tmp_path))))
    worker.add("refused", msgspec.structs.replace(plan, sink=Tcp(address=closed), on_sink_error="fail"))
    worker.add("overflow", entry_plan(rate=1.5, anchor_ns=2**62, shift_ns=2**62))
    worker.start_all()
    for name, cause in {"directory": "sink", "refused": "sink", "overflow": "runtime"}.items():
        finished = worker.finished_of(name)
        assert (finished.reason, finished.fault and finished.fault.cause) == ("failed", cause)
    seen = worker.counters_of("good").total_events
    wait_until(lambda: worker.counters_of("good").total_events > seen + 100, "more events")
    worker.stop()
    assert worker.finished_of("good").reason == "stopped"
    assert worker.counters_of("good").total_events == whole_lines(tmp_path / "good")


def test_a_sink_that_hangs_delays_nobody(worker: HostingWorker, tmp_path: Path, deaf_peer: str) -> None:
    """Nor does one that goes as fast as it can; and a stop of the hanging one takes no longer than it grants."""
    worker.add("hangs", entry_plan(rate=1e9, labels={"l": "x" * 1000}, sink=Tcp(address=deaf_peer)))
    worker.start_all()
    wait_until(lambda: worker.counters_of("hangs").total_events, "events")
    wait_until(lambda: psutil.Process(worker.process.pid).status() == psutil.STATUS_SLEEPING, "the sink hangs")
    worker.add("fast", entry_plan(rate=1e9, sink=File(path="/dev/null")))
    worker.add("paced", steps_to(tmp_path / "paced", rate=1000.0))
    worker.start_all()
    wait_until(lambda: worker.counters_of("paced").total_events > 500, "events beside a sink that hangs")
    wait_until(lambda: worker.counters_of("fast").total_events > 100_000, "events beside one that is paced")
    worker.stop_one("hangs", window_secs=0.8)
    assert worker.finished_of("hangs").reason == "stopped"
    counters = worker.counters_of("hangs")
    assert counters.errors == counters.total_sink_failures > 0
    worker.stop()
    assert worker.finished_of("paced").reason == "stopped"
    assert worker.counters_of("paced").total_events == whole_lines(tmp_path / "paced")


def test_gates_hold_between_entries_of_one_process(worker: HostingWorker, tmp_path: Path) -> None:
    """Followed, opened and closed by the other's values, and over when it is lost."""
    gate = GatePlan(scenario_name=None, ref="up", op=">", value=0.5)
    worker.add("up", entry_plan(rate=20.0, generator=Sequence(values=(0.0, 1.0), repeat=True)))
    worker.add("down", msgspec.structs.replace(steps_to(tmp_path / "down", rate=1000.0), gate=gate))
    bell = os.eventfd(0, os.EFD_NONBLOCK)
    watch = Watch(wire_id=0, op=gate.op, value=gate.value, scenario_id="up")
    send_with_descriptor(worker.connection, watch, bell)
    send_with_descriptor(worker.connection, Follow(row=worker.rows["up"], scenario_id="down"), bell)
    os.close(bell)
    worker.start_all()

    def state() -> int:
        return worker.counters_of("down").state

    for _ in range(3):
        wait_until(lambda: state() == State.RUNNING, "the gate is open")
        wait_until(lambda: state() == State.PAUSED, "the gate is closed")
    worker.stop_one("up")
    worker.finished_of("up")
    worker.send(Lose(scenario_id="down"))
    assert worker.finished_of("down").reason == "upstream"
    events = worker.counters_of("down").total_events
    assert events == whole_lines(tmp_path / "down") > 60


SHARED_STDOUT = """
from common.specs import Stdout
from tests.support.plans import entry_plan
from tests.support.worker_process import hosting_worker
if __name__ == "__main__":
    with hosting_worker() as worker:
        for name in "abc":
            labels = {"l": name * 20_000}
            worker.add(name, entry_plan(name=name, rate=100.0, duration_ns=1_500_000_000, labels=labels, sink=Stdout()))
        worker.start_all()
        for name in "abc":
            worker.finished_of(name, 60)
"""


def test_entries_of_one_process_share_stdout_line_by_line() -> None:
    """Lines longer than a pipe takes at once stay whole, though the kernel's lock is between processes only."""
    done = subprocess.run([sys.executable, "-c", SHARED_STDOUT], stdout=subprocess.PIPE, check=True)
    lines = done.stdout.splitlines()
    whole = [f'{name}{{l="{name * 20_000}"}} 1 '.encode() for name in "abc"]
    # Not compared by ==, whose report would be as long as the lines.
    assert all(any(line.startswith(one) for one in whole) for line in lines)
    assert {line[:1] for line in lines} == {b"a", b"b", b"c"}


@pytest.mark.parametrize(("rate", "apart_ns"), [(50.0, 0), (500.0, 20_000)])
def test_ticks_that_are_due_about_together_share_a_wake_up(worker: HostingWorker, rate: float, apart_ns: int) -> None:
    """Fifty entries of one rate wake the process as often as one does, give or take the board's and the test's own."""
    for number in range(50):
        worker.add(f"e{number}", entry_plan(rate=rate, phase_offset_ns=number * apart_ns))
    worker.start_all()
    wait_until(lambda: worker.counters_of("e49").total_events > 25, "events")

    def sleeps() -> int:
        return psutil.Process(worker.process.pid).num_ctx_switches().voluntary

    before, events = sleeps(), worker.counters_of("e49").total_events
    wait_until(lambda: worker.counters_of("e49").total_events > events + 2 * rate, "more events")
    ticks = worker.counters_of("e49").total_events - events
    assert sleeps() - before < 5 * ticks


def test_each_entry_knows_what_it_costs(worker: HostingWorker) -> None:
    """Its wake-ups and its share of the processor time: the busy one is found."""
    worker.add("busy", entry_plan(rate=1000.0))
    worker.add("idle", entry_plan(rate=2.0))
    worker.start_all()
    wait_until(lambda: worker.counters_of("busy").total_events > 1000, "events")
    worker.stop()
    assert worker.ended() == 0
    busy, idle = worker.counters_of("busy"), worker.counters_of("idle")
    assert busy.wakeups > 100 > idle.wakeups > 0
    assert busy.cpu_ns > idle.cpu_ns > 0


@pytest.mark.parametrize("how", ["sigterm", "closed pipe"])
def test_what_ends_a_worker_ends_all_its_entries(worker: HostingWorker, tmp_path: Path, how: str) -> None:
    """Everything that was counted is written; the process exits with 0."""
    for name in ("a", "b"):
        worker.add(name, steps_to(tmp_path / name, rate=1000.0))
    worker.start_all()
    wait_until(lambda: worker.counters_of("b").total_events > 10, "events")
    if how == "sigterm":
        assert worker.process.pid is not None
        os.kill(worker.process.pid, signal.SIGTERM)
    else:
        worker.connection.close()
    assert worker.ended() == 0
    for name in ("a", "b"):
        assert worker.counters_of(name).total_events == whole_lines(tmp_path / name)


def test_entries_that_come_and_go_leave_nothing_behind(worker: HostingWorker) -> None:
    """Neither descriptors nor mappings, and not one entry for every wait."""

    def pass_through(number: int) -> None:
        worker.send(Run(scenario_id=f"e{number}", entry=entry_plan(rate=1000.0, duration_ns=NS // 100), row=1))
        worker.wait_for(Prepared)
        worker.send(Start(start_ns=time.monotonic_ns(), wall_ns=time.time_ns(), scenario_id=f"e{number}"))
        assert worker.finished_of(f"e{number}").reason == "duration"

    def held() -> tuple[int, int]:
        pid = worker.process.pid
        mappings = Path(f"/proc/{pid}/maps").read_text().count("memfd:sondad-board")
        return len(os.listdir(f"/proc/{pid}/fd")), mappings

    pass_through(0)
    before = held()
    for number in range(1, 30):
        pass_through(number)
    # An entry's last message comes a moment before it is gone, the first one's too.
    wait_until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)), "what was held before")
