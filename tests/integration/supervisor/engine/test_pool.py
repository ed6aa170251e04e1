"""The pool, launches and stops with real workers, over the main loop in this process."""

import gc
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.plan import PlannedEntry
from common.specs import File, Tcp
from common.states import State
from supervisor.engine.control_plane import CallTimeoutError, LaunchError, NameConflict, Scenario, StopResult
from tests.support.polling import wait_until
from tests.support.processes import freeze, worker_of
from tests.support.running_fleet import RunningFleet
from tests.unit.supervisor.engine.entries import plan_of, planned_entry

LONG_SECS = 60.0


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningFleet]:
    with RunningFleet() as running:
        yield running


@pytest.fixture
def running(shared: RunningFleet) -> Iterator[RunningFleet]:
    """A fleet without scenarios; tests that shut one down have their own."""
    yield shared
    for scenario in shared.plane.scenarios():
        _stop(shared, scenario)
    wait_until(lambda: shared.pool.room() == 64, "every row is free or a spare's")


def _launch(running: RunningFleet, *entries: PlannedEntry, name: str | None = None) -> list[Scenario]:
    return running.plane.launch(plan_of(*entries, scenario_name=name), LONG_SECS)


def _stop(running: RunningFleet, scenario: Scenario) -> StopResult | None:
    return running.plane.stop(scenario.id, LONG_SECS)


def _has_emitted(scenario: Scenario, count: int = 1) -> Callable[[], bool]:
    return lambda: scenario.counters().total_events >= count


def test_a_scenario_from_launch_to_stop(running: RunningFleet) -> None:
    """A launched scenario runs in a process named after it, emits, and its final count is told when it is stopped."""
    (scenario,) = _launch(running, planned_entry("edge_temp", rate=200.0))
    assert scenario.counters().state == State.RUNNING
    assert running.plane.scenarios() == [scenario]
    wait_until(_has_emitted(scenario, 5), "five events")
    assert scenario.drain().values[0] == 1.0
    pid = worker_of(scenario.id).pid
    result = _stop(running, scenario)
    assert result is not None
    assert result.status == "stopped"
    assert result.total_events >= 5
    assert scenario.counters().state == State.FINISHED
    assert scenario.exit_reason is None
    assert not psutil.pid_exists(pid)
    assert running.plane.scenario(scenario.id) is None
    assert _stop(running, scenario) is None


def test_a_scenario_that_ends_by_itself_stays_readable(running: RunningFleet) -> None:
    """After its duration a scenario is finished, keeps its counts and samples, and is stopped when it is deleted."""
    (scenario,) = _launch(running, planned_entry(rate=100.0, duration_ns=200_000_000))
    wait_until(lambda: scenario.counters().state == State.FINISHED, "the end of the duration")
    assert scenario.exit_reason is None
    # Ticks that are overdue at the end on a busy machine are left out.
    total = scenario.counters().total_events
    assert 0 < total <= 20
    assert len(scenario.drain().values) == total
    assert _stop(running, scenario) == StopResult("stopped", total)


def test_entries_of_a_body_start_together(running: RunningFleet) -> None:
    """All entries of one body have the same start instant, although more are launched than there are spares."""
    entries = [planned_entry(f"e{index}", rate=1000.0) for index in range(8)]
    scenarios = _launch(running, *entries)
    assert [scenario.entry.plan.name for scenario in scenarios] == [f"e{index}" for index in range(8)]
    assert len({scenario.launched_ns for scenario in scenarios}) == 1
    for scenario in scenarios:
        wait_until(_has_emitted(scenario), "the first event")
    first_stamps = {int(scenario.peek().stamps_ns[0]) for scenario in scenarios}
    assert len(first_stamps) == 1


def test_fifty_at_once(running: RunningFleet) -> None:
    """A body of fifty entries is launched as a whole, and stopping one leaves the others alone."""
    scenarios = _launch(running, *(planned_entry(f"e{index}") for index in range(50)))
    assert len(running.plane.scenarios()) == 50
    _stop(running, scenarios[7])
    assert len(running.plane.scenarios()) == 49
    for scenario in running.plane.scenarios():
        wait_until(_has_emitted(scenario), "the first event")
        assert scenario.counters().state == State.RUNNING


def test_a_killed_worker_is_noticed_and_explained(running: RunningFleet) -> None:
    """SIGKILL of a worker finishes its scenario, with the reason and the last counts; others go on."""
    victim, other = _launch(running, planned_entry("victim", rate=100.0), planned_entry("other", rate=100.0))
    wait_until(_has_emitted(victim, 3), "three events")
    os.kill(worker_of(victim.id).pid, signal.SIGKILL)
    wait_until(lambda: victim.exit_reason, "the reason")
    assert victim.exit_reason == "killed by signal 9 (SIGKILL)"
    counters = victim.counters()
    assert counters.state == State.FINISHED
    assert counters.total_events >= 3
    assert victim.counters() == counters
    seen = other.counters().total_events
    wait_until(_has_emitted(other, seen + 3), "the other going on")
    running.wait_until_full()
    assert _stop(running, victim) == StopResult("stopped", counters.total_events)


def test_a_worker_stopped_by_someone_else_is_explained(running: RunningFleet) -> None:
    """A worker that leaves on a SIGTERM nobody of us sent is finished with a reason."""
    (scenario,) = _launch(running, planned_entry())
    os.kill(worker_of(scenario.id).pid, signal.SIGTERM)
    wait_until(lambda: scenario.exit_reason, "the reason")
    assert scenario.exit_reason == "stopped by a signal from outside"


def test_a_sink_that_cannot_be_opened_finishes_its_scenario(running: RunningFleet, tmp_path: Path) -> None:
    """The launch succeeds, the scenario ends with the sink's error and the reason."""
    occupied = tmp_path / "directory"
    occupied.mkdir()
    (scenario,) = _launch(running, planned_entry(sink=File(path=str(occupied))))
    wait_until(lambda: scenario.exit_reason, "the reason")
    counters = scenario.counters()
    assert counters.state == State.FINISHED
    assert counters.total_sink_failures == 1
    assert counters.last_sink_error is not None
    assert str(scenario.exit_reason).endswith(counters.last_sink_error)


def test_spares_are_refilled_after_they_were_killed(running: RunningFleet) -> None:
    """Spares that die are replaced, and a launch meanwhile waits for a new one instead of failing."""
    running.wait_until_full()
    for spare in running.pool.spares:
        os.kill(spare.pid, signal.SIGKILL)
    (scenario,) = _launch(running, planned_entry())
    wait_until(_has_emitted(scenario), "the first event")
    running.wait_until_full()


def test_exactly_one_of_two_racing_bodies_gets_the_name(running: RunningFleet) -> None:
    """Of bodies with one name launched at the same time exactly one wins; the losers learn the winner's ids."""
    barrier = threading.Barrier(4)

    def race(index: int) -> list[Scenario] | list[str]:
        barrier.wait()
        try:
            return _launch(running, planned_entry(f"e{index}"), planned_entry(f"f{index}"), name="soak")
        except NameConflict as conflict:
            return [scenario.id for scenario in conflict.conflicting]

    with ThreadPoolExecutor(4) as threads:
        results: list[Any] = list(threads.map(race, range(4)))
    ids = [scenario.id for scenario in running.plane.scenarios()]
    assert len(ids) == 2
    winners = [result for result in results if not isinstance(result[0], str)]
    assert [[scenario.id for scenario in winner] for winner in winners] == [ids]
    assert [result for result in results if isinstance(result[0], str)] == [ids] * 3


def test_a_name_is_free_again_after_the_stop(running: RunningFleet) -> None:
    """Stopping the last scenario of a name frees the name at once."""
    (scenario,) = _launch(running, planned_entry(), name="soak")
    assert running.plane.conflicts("soak") == [scenario]
    with pytest.raises(NameConflict):
        _launch(running, planned_entry(), name="soak")
    _stop(running, scenario)
    assert running.plane.conflicts("soak") == []
    _launch(running, planned_entry(), name="soak")


def test_a_launch_that_took_too_long_leaves_nothing(running: RunningFleet) -> None:
    """When the caller's time is over nothing of the body stays: no scenario, no name, no worker."""
    running.wait_until_full()
    with pytest.raises(CallTimeoutError):
        running.plane.launch(plan_of(*(planned_entry(f"e{i}") for i in range(30)), scenario_name="soak"), 0.005)
    assert running.plane.scenarios() == []
    wait_until(lambda: running.plane.conflicts("soak") == [], "the name is free")
    running.wait_until_full()
    wait_until(lambda: running.pool.room() == 64, "all rows are free")


def test_more_than_the_board_has_is_refused(running: RunningFleet) -> None:
    """A body that does not fit the board is refused at once, and nothing of it is launched."""
    (kept,) = _launch(running, planned_entry())
    with pytest.raises(LaunchError, match="all 64 places for scenarios are taken: DELETE finished ones first"):
        _launch(running, *(planned_entry(f"e{i}") for i in range(64)))
    assert running.plane.scenarios() == [kept]


def test_a_worker_that_does_not_leave_is_killed(running: RunningFleet) -> None:
    """A worker that cannot react to the stop is killed when its time is over, and that is told."""
    (scenario,) = _launch(running, planned_entry(rate=100.0))
    wait_until(_has_emitted(scenario), "the first event")
    freeze(worker_of(scenario.id).pid)
    result = _stop(running, scenario)
    assert result is not None
    assert result.status == "force_stopped"
    assert result.total_events == scenario.counters().total_events >= 1


def test_a_stop_goes_on_without_its_caller(running: RunningFleet) -> None:
    """When the caller's time is over the scenario is gone already, and its worker is still stopped and reaped."""
    (scenario,) = _launch(running, planned_entry())
    pid = worker_of(scenario.id).pid
    freeze(pid)
    with pytest.raises(CallTimeoutError):
        running.plane.stop(scenario.id, 0.05)
    assert running.plane.scenarios() == []
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not psutil.pid_exists(pid), "the worker has gone")
    wait_until(lambda: running.pool.room() == 64, "its row is free")


def test_a_stuck_sink_does_not_disturb_others(running: RunningFleet) -> None:
    """While one scenario's peer never reads, others are launched, counted and stopped as usual."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        (stuck,) = _launch(running, planned_entry("stuck", rate=2e6, sink=Tcp(address=address)))
        (fine,) = _launch(running, planned_entry("fine", rate=100.0))
        wait_until(_has_emitted(fine, 10), "ten events")
        result = _stop(running, fine)
        assert result is not None
        assert result.status == "stopped"
        assert stuck.counters().state == State.RUNNING
        assert _stop(running, stuck) is not None


def test_cycles_leave_nothing(running: RunningFleet) -> None:
    """A hundred launches and stops leave descriptors, threads, rows and memory as they were."""
    process = psutil.Process()
    for _ in range(10):
        _stop(running, *_launch(running, planned_entry()))
    running.wait_until_full()
    gc.collect()
    before, rows = running.held(), running.pool.room()
    memory = process.memory_info().rss
    for _ in range(100):
        _stop(running, *_launch(running, planned_entry()))
    running.wait_until_full()
    gc.collect()
    running.wait_until_held(before)
    assert running.pool.room() == rows
    assert process.memory_info().rss - memory < 3 * 1024 * 1024


def test_the_fleet_shares_its_wakeups() -> None:
    """Above the budget every worker is told how late it may be, and below it again that it may not."""
    with RunningFleet(wakeups_per_sec=100) as running:
        scenarios = _launch(running, *(planned_entry(f"e{i}", rate=100.0) for i in range(3)))
        header = memoryview(running.board._map)[:8].cast("Q")
        assert header[0] == pytest.approx(20_000_000, rel=1e-3)
        for scenario in scenarios[1:]:
            _stop(running, scenario)
        assert header[0] == 0
        header.release()


def test_shutdown_stops_everything_at_once(tmp_path: Path) -> None:
    """Shutting down flushes and ends every worker; afterwards calls are refused instead of waiting for ever."""
    paths = [tmp_path / f"{index}.prom" for index in range(3)]
    with RunningFleet() as running:
        scenarios = _launch(running, *(planned_entry(rate=500.0, sink=File(path=str(path))) for path in paths))
        for scenario in scenarios:
            wait_until(_has_emitted(scenario, 10), "ten events")
        pids = [worker.pid for worker in running.started]
        running.shut_down()
        assert not [pid for pid in pids if psutil.pid_exists(pid)]
        for scenario, path in zip(scenarios, paths, strict=True):
            assert scenario.exit_reason is None
            assert path.read_bytes().count(b"\n") == scenario.counters().total_events
        with pytest.raises(LaunchError, match="shutting down"):
            _launch(running, planned_entry())
        with pytest.raises(LaunchError, match="shutting down"):
            _stop(running, scenarios[0])


def test_shutdown_kills_who_does_not_leave() -> None:
    """A worker that cannot react is killed at the end of the grace, the rest has left before."""
    with RunningFleet(grace_secs=3.0) as running:
        stuck, fine = _launch(running, planned_entry("stuck"), planned_entry("fine"))
        freeze(worker_of(stuck.id).pid)
        running.shut_down()
        assert stuck.exit_reason is not None
        assert stuck.exit_reason.startswith("killed: it did not stop")
        assert fine.exit_reason is None


def test_without_descriptors_bodies_are_refused_with_the_reason() -> None:
    """When no worker can be started a launch fails within seconds with the reason, and works again afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with RunningFleet(spares_wanted=0) as running:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(LaunchError, match=r"no worker can be started: .*Too many open files"):
                _launch(running, planned_entry())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert running.plane.scenarios() == []
        wait_until(lambda: _launched(running), "launching works again")


def _launched(running: RunningFleet) -> bool:
    try:
        return bool(_launch(running, planned_entry()))
    except LaunchError:
        return False
