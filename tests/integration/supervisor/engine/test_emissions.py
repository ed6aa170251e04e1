"""Single events through real workers, over the main loop in this process."""

import gc
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from common.plan import EntryPlan
from common.specs import File, HttpPush, Sequence, SinkSpec, Step, Tcp
from common.states import State
from supervisor.engine.control_plane import CallTimeoutError, EventError, LaunchError
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.processes import has_connections, has_ended
from tests.support.running_fleet import RunningFleet
from tests.unit.supervisor.engine.entries import plan_of, planned_entry

LONG_SECS = 60.0


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningFleet]:
    with RunningFleet() as running:
        yield running


@pytest.fixture
def running(shared: RunningFleet) -> Iterator[RunningFleet]:
    """A fleet without scenarios that has its spares; tests that shut one down have their own."""
    shared.wait_until_full()
    yield shared
    for scenario in shared.plane.scenarios():
        shared.plane.stop(scenario.id, LONG_SECS)
    wait_until(lambda: shared.pool.room() == 64, "every row is free or a spare's")


def event(sink: SinkSpec) -> EntryPlan:
    return entry_plan(name="up", sink=sink)


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of somebody who takes connections and never reads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_one_worker_delivers_event_after_event(running: RunningFleet, tmp_path: Path) -> None:
    """It is parked again each time, so hardly anything is started for them; afterwards it can run a scenario."""
    path = tmp_path / "event"
    started = len(running.started)
    for _ in range(50):
        path.unlink(missing_ok=True)
        assert running.plane.deliver(event(File(path=str(path))), LONG_SECS) > 0
        assert path.read_text().startswith("up 1 ")
    running.wait_until_full()
    assert len(running.started) - started < 25
    assert running.pool.room() == 64
    (scenario,) = running.plane.launch(plan_of(planned_entry(rate=200.0)), LONG_SECS)
    wait_until(lambda: scenario.counters().total_events > 5, "events of a scenario")
    assert scenario.counters().state == State.RUNNING


def test_events_at_once(running: RunningFleet, tmp_path: Path) -> None:
    """More of them than spares: workers are started for them, one for each caller at most."""

    def deliver(number: int) -> int:
        return running.plane.deliver(event(File(path=str(tmp_path / str(number)))), LONG_SECS)

    with ThreadPoolExecutor(16) as callers:
        assert all(latency > 0 for latency in callers.map(deliver, range(64)))
    assert len(list(tmp_path.iterdir())) == 64
    wait_until(lambda: running.pool.room() == 64, "every row is free or a spare's")
    running.wait_until_full()
    assert len(running.pool.spares) <= 16 + 2


@pytest.mark.parametrize(
    ("entry", "cause", "text"),
    [
        (event(Tcp(address="nowhere")), "sink", "TCP connect to nowhere: invalid socket address"),
        (event(HttpPush(url="ftp://h")), "sink", "invalid HTTP push URL 'ftp://h': must start with http:// or https://"),
        (entry_plan(signal_type="logs"), "encoder", "log encoding not supported by this encoder"),
        (entry_plan(generator=Sequence(values=())), "runtime", "internal error: "),
        (entry_plan(labels={"a": "\udc80"}), "runtime", "cannot send a message: "),
    ],
    ids=["open", "scheme", "encoder", "unexpected", "unsendable"],
)  # fmt: skip
def test_what_goes_wrong_is_told_apart(running: RunningFleet, entry: EntryPlan, cause: str, text: str) -> None:
    """The destination, the encoder, or something nobody expected; the worker leaves and is replaced."""
    with pytest.raises(EventError) as caught:
        running.plane.deliver(entry, LONG_SECS)
    assert caught.value.cause == cause
    assert text in str(caught.value)
    wait_until(lambda: running.pool.room() == 64, "its row is free again")
    running.wait_until_full()


def test_values_are_foreseen_by_a_spare(running: RunningFleet, tmp_path: Path) -> None:
    """Call after call by the same ones, and nothing is opened; a failure is the caller's alone."""
    path = tmp_path / "untouched"
    entries = [entry_plan(name="up", sink=File(path=str(path)), generator=Step(start=0.0, step_size=2.0))] * 2
    started = len(running.started)
    for _ in range(30):
        first, second = running.plane.preview(entries, 4.0, 4, LONG_SECS)
        assert first == second
        assert (first.secs, first.values) == ((0.0, 1.0, 2.0, 3.0, 4.0), (0.0, 2.0, 4.0, 6.0, 8.0))
    assert not path.exists()
    running.wait_until_full()
    assert len(running.started) - started < 20
    with pytest.raises(EventError, match="internal error: "):
        running.plane.preview([entry_plan(generator=Sequence(values=()))], 4.0, 4, LONG_SECS)
    wait_until(lambda: running.pool.room() == 64, "its row is free again")


def test_a_hung_destination_is_broken_off(running: RunningFleet, deaf: str) -> None:
    """At the deadline the caller is free and the worker is killed; others were served all the time."""
    huge = entry_plan(name="up", sink=Tcp(address=deaf), labels={"a": "x" * 20_000_000})
    hung = threading.Event()
    killed = running.fleet.tally.endings["killed"]

    def deliver() -> None:
        with pytest.raises(CallTimeoutError):
            running.plane.deliver(huge, 1.0)
        hung.set()

    caller = threading.Thread(target=deliver)
    caller.start()
    (scenario,) = running.plane.launch(plan_of(planned_entry(rate=200.0)), LONG_SECS)
    wait_until(lambda: scenario.counters().total_events > 5, "events of another scenario")
    assert hung.wait(LONG_SECS)
    caller.join()
    wait_until(lambda: running.pool.room() == 63, "its row is free again")
    assert running.fleet.tally.endings["killed"] == killed + 1


def test_a_worker_that_dies_in_the_middle(running: RunningFleet, deaf: str) -> None:
    """Its event is refused with the reason, and given to no other worker."""
    huge = entry_plan(name="up", sink=Tcp(address=deaf), labels={"a": "x" * 20_000_000})
    with ThreadPoolExecutor(1) as callers:
        asked = callers.submit(running.plane.deliver, huge, LONG_SECS)
        (busy,) = wait_until(lambda: _senders(running), "a sender")
        busy.kill()
        with pytest.raises(EventError, match=r"killed by signal 9 \(SIGKILL\)") as caught:
            asked.result(LONG_SECS)
    assert caught.value.cause == "runtime"
    wait_until(lambda: running.pool.room() == 64, "its row is free again")


def _senders(running: RunningFleet) -> list[psutil.Process]:
    """The workers that have a connection."""
    workers = {worker.pid for worker in running.started}
    ours = [process for process in psutil.Process().children(recursive=True) if process.pid in workers]
    return list(filter(has_connections, ours))


def test_a_dead_spare_is_passed_over(running: RunningFleet, tmp_path: Path) -> None:
    """An event that a spare could not be given goes to the next one."""
    for worker in running.pool.spares[:1]:
        spare = psutil.Process(worker.pid)
        spare.kill()
        # Its end may be known before the event comes.
        wait_until(lambda: has_ended(spare), "the spare is dead")  # noqa: B023
    assert running.plane.deliver(event(File(path=str(tmp_path / "a"))), LONG_SECS) > 0


def test_without_a_place_events_are_refused(tmp_path: Path) -> None:
    """When scenarios have all places, an event is refused as they are."""
    with RunningFleet(rows=2, spares_wanted=1) as running:
        running.plane.launch(plan_of(planned_entry("a"), planned_entry("b")), LONG_SECS)
        with pytest.raises(EventError, match="all 2 places for scenarios are taken") as caught:
            running.plane.deliver(event(File(path=str(tmp_path / "a"))), LONG_SECS)
        assert caught.value.cause == "runtime"


def test_a_shutdown_lets_an_event_finish_and_ends_a_hung_one(deaf: str) -> None:
    """The hung one is broken off in time for the worker to leave, and its caller is told."""
    with RunningFleet(grace_secs=10.0) as running:
        running.wait_until_full()
        huge = entry_plan(name="up", sink=Tcp(address=deaf), labels={"a": "x" * 20_000_000})
        with ThreadPoolExecutor(1) as callers:
            asked = callers.submit(running.plane.deliver, huge, LONG_SECS)
            wait_until(lambda: _senders(running), "a sender")
            running.shut_down()
            with pytest.raises(EventError, match="TCP write to") as caught:
                asked.result(LONG_SECS)
        assert caught.value.cause == "sink"
        with pytest.raises(LaunchError, match="shutting down"):
            running.plane.deliver(huge, LONG_SECS)


def test_events_leave_nothing(running: RunningFleet, tmp_path: Path) -> None:
    """A hundred events, delivered and failed, leave descriptors, threads and rows as they were."""

    def round_trip(times: int) -> None:
        for _ in range(times):
            running.plane.deliver(event(File(path=str(tmp_path / "a"))), LONG_SECS)
            with pytest.raises(EventError):
                running.plane.deliver(event(Tcp(address="nowhere")), LONG_SECS)
        wait_until(lambda: running.pool.room() == 64, "every row is free or a spare's")
        running.wait_until_full()

    round_trip(5)
    gc.collect()
    before = running.held()
    round_trip(50)
    gc.collect()
    running.wait_until_held(before)
