"""Scenario records and the map, over a board in this process."""

import threading

import msgspec
import numpy as np
import pytest

from common.board import Board, WorkerBoard
from common.checkpoints import Checkpoint, Resume
from common.counters import Counters
from common.current import CurrentValues
from common.lateness import BUCKETS, Lateness
from common.messages import Start
from common.plan import ReplayColumn, ReplayRows
from common.states import State
from supervisor.engine.control_plane import CapacityError, NameConflict
from supervisor.engine.scenarios import LaunchedScenario, ScenarioMap
from tests.unit.supervisor.engine.entries import planned_entry


@pytest.fixture
def board() -> Board:
    return Board(4)


def _scenario(name: str = "up", scenario_name: str | None = None, **changes: object) -> LaunchedScenario:
    return LaunchedScenario(f"id-{name}", planned_entry(name, **changes), scenario_name, now_ns=100)


def _started(board: Board, scenario: LaunchedScenario, index: int = 0) -> WorkerBoard:
    scenario.attach(board.row(index), index)
    scenario.start(Start(start_ns=200, wall_ns=0))
    return WorkerBoard(board.descriptor, index)


def _append(worker: WorkerBoard, first_tick: int, count: int) -> None:
    ticks = np.arange(first_tick, first_tick + count)
    worker.row.append_samples(first_tick, ticks * 1000, ticks.astype(np.float64))


def test_a_reserved_scenario_is_pending() -> None:
    """Until its workers were told to start a scenario shows pending and no counts."""
    counters = _scenario().counters()
    assert counters.state == State.PENDING
    assert counters.total_events == 0


def test_a_started_scenario_runs_before_its_worker_says_so(board: Board) -> None:
    """The answer to a launch does not depend on how fast the worker is: without offset it says running."""
    scenario = _scenario()
    _started(board, scenario)
    assert scenario.counters().state == State.RUNNING
    assert scenario.counters().state_since_ns == 200


def test_a_started_scenario_with_offset_is_pending(board: Board) -> None:
    """With a phase offset the answer says pending until the worker shows something else."""
    scenario = _scenario(phase_offset_ns=5)
    worker = _started(board, scenario)
    assert scenario.counters().state == State.PENDING
    worker.row.publish(Counters(state=State.RUNNING, state_since_ns=300))
    assert scenario.counters().state == State.RUNNING
    assert scenario.counters().state_since_ns == 300


@pytest.mark.parametrize(
    "recording",
    [
        ReplayColumn(values=b"8 bytes.", repeat=True),
        ReplayRows(severities=b"1", messages=("m",), fields={"f": ("v",)}, repeat=True),
    ],
)
def test_a_started_scenario_lets_go_of_its_recording(board: Board, recording: ReplayColumn | ReplayRows) -> None:
    """Until the start the data is there to be sent, again if need be; then only the worker has it."""
    scenario = _scenario(generator=recording, labels={"a": "b"})
    assert scenario.entry.plan.generator == recording
    _started(board, scenario)
    left = scenario.entry.plan
    assert left.labels == {"a": "b"}
    assert type(left.generator) is type(recording)
    assert len(msgspec.msgpack.encode(left.generator)) < len(msgspec.msgpack.encode(recording))
    assert left.generator in (
        ReplayColumn(values=b"", repeat=True),
        ReplayRows(severities=b"", messages=(), fields={}, repeat=True),
    )


def test_counters_come_from_the_board(board: Board) -> None:
    """What the worker publishes is what readers get."""
    scenario = _scenario()
    worker = _started(board, scenario)
    shown = Counters(state=State.RUNNING, state_since_ns=7, total_events=42, last_sink_error="no room")
    worker.row.publish(shown)
    assert scenario.counters() == shown


def test_frozen_counters_stay(board: Board) -> None:
    """After the worker is gone its last values stay, finished, whatever the row is used for afterwards."""
    scenario = _scenario()
    worker = _started(board, scenario)
    worker.row.publish(Counters(state=State.RUNNING, state_since_ns=300, total_events=42))
    final = scenario.freeze("killed by signal 9 (SIGKILL)", 900)
    board.clear(0)
    assert scenario.counters() == final
    assert (final.state, final.state_since_ns, final.total_events) == (State.FINISHED, 900, 42)
    assert scenario.exit_reason == "killed by signal 9 (SIGKILL)"


def test_freezing_keeps_when_the_worker_finished(board: Board) -> None:
    """A worker that finished by itself knows best when that was."""
    scenario = _scenario()
    worker = _started(board, scenario)
    worker.row.publish(Counters(state=State.FINISHED, state_since_ns=800, total_events=5))
    assert scenario.freeze(None, 900).state_since_ns == 800
    assert scenario.exit_reason is None


def test_the_end_shows_together_with_its_reason(board: Board) -> None:
    """A worker that has finished and not left yet is shown as it was before, with its newest counters."""
    scenario = _scenario()
    worker = _started(board, scenario)
    worker.row.publish(Counters(state=State.PAUSED, state_since_ns=300, total_events=4))
    assert scenario.counters().state == State.PAUSED
    worker.row.publish(Counters(state=State.FINISHED, state_since_ns=800, total_events=5))
    leaving = scenario.counters()
    assert (leaving.state, leaving.state_since_ns, leaving.total_events) == (State.PAUSED, 300, 5)
    scenario.freeze("sink error: gone", 900)
    assert (scenario.counters().state, scenario.counters().state_since_ns) == (State.FINISHED, 800)
    assert scenario.exit_reason == "sink error: gone"


def test_a_short_run_is_never_seen_finished_too_early(board: Board) -> None:
    """One that nobody looked at meanwhile is shown in its first state."""
    scenario = _scenario()
    worker = _started(board, scenario)
    worker.row.publish(Counters(state=State.FINISHED, state_since_ns=800, total_events=5))
    assert (scenario.counters().state, scenario.counters().state_since_ns) == (State.RUNNING, 200)


def test_drain_takes_every_sample_once(board: Board) -> None:
    """Each sample is drained once, also after the worker is gone."""
    scenario = _scenario()
    worker = _started(board, scenario)
    _append(worker, 0, 3)
    assert list(scenario.peek().values) == [0, 1, 2]
    assert list(scenario.drain().values) == [0, 1, 2]
    assert len(scenario.drain().values) == 0
    _append(worker, 3, 2)
    scenario.freeze(None, 900)
    assert list(scenario.drain().values) == [3, 4]


def test_current_values_do_not_depend_on_draining(board: Board) -> None:
    """The newest value of each series stays, also after the worker is gone; logs have none."""
    scenario = _scenario()
    assert scenario.current() == []
    worker = _started(board, scenario)
    assert scenario.current() == []
    CurrentValues(worker.row.view, scenario.entry.plan).put(0, np.array([1.0, 2.5]), 0)
    scenario.drain()
    assert scenario.current() == [(("up", ()), 2.5)]
    scenario.freeze(None, 900)
    assert scenario.current() == [(("up", ()), 2.5)]
    logs = _scenario("words", signal_type="logs")
    _started(board, logs, 1)
    assert logs.current() == []


def test_lateness_is_that_of_the_worker(board: Board) -> None:
    """A second with ticks has counts, others have none."""
    scenario = _scenario()
    assert scenario.lateness(5_000_000_000) is None
    worker = _started(board, scenario)
    Lateness(worker.row.view).count(0, 7, 4_999_999_999)
    counts = scenario.lateness(5_000_000_000)
    assert counts is not None
    assert counts.tolist() == [7] + [0] * (BUCKETS - 1)
    assert scenario.lateness(6_000_000_000) is None


def test_concurrent_drains_share_nothing(board: Board) -> None:
    """Two readers at the same time never get the same sample, and none is lost between them."""
    scenario = _scenario()
    worker = _started(board, scenario)
    taken: list[list[float]] = [[], []]
    done = threading.Event()

    def read(mine: list[float]) -> None:
        while not done.is_set():
            mine.extend(scenario.drain().values)

    readers = [threading.Thread(target=read, args=(mine,)) for mine in taken]
    for reader in readers:
        reader.start()
    for tick in range(900):
        _append(worker, tick, 1)
    done.set()
    for reader in readers:
        reader.join()
    rest = list(scenario.drain().values)
    assert sorted(taken[0] + taken[1] + rest) == list(range(900))


def test_a_detached_scenario_has_no_samples(board: Board) -> None:
    """A deleted scenario that a slow reader still holds shows nothing of the row's next owner."""
    scenario = _scenario()
    worker = _started(board, scenario)
    scenario.freeze(None, 900)
    scenario.detach()
    _append(worker, 0, 3)
    assert len(scenario.drain().values) == 0
    CurrentValues(worker.row.view, scenario.entry.plan).put(0, np.array([1.0]), 0)
    assert scenario.current() == []
    assert scenario.lateness(1_000_000_000) is None


def test_map_keeps_launch_order_and_forgets_removed() -> None:
    """Scenarios are listed in launch order until they are removed; removing twice finds nothing."""
    scenarios = ScenarioMap()
    for name in "cab":
        scenarios.reserve([_scenario(name)])
        assert name not in [scenario.id for scenario in scenarios.all()]
    a, b, c = (_scenario(name) for name in "abc")
    scenarios.add([c])
    scenarios.add([a, b])
    assert scenarios.all() == [c, a, b]
    assert scenarios.get("id-a") is a
    assert scenarios.remove("id-a") is a
    assert scenarios.remove("id-a") is None
    assert scenarios.get("id-a") is None
    assert scenarios.all() == [c, b]


def test_a_reader_keeps_its_list() -> None:
    """What a reader got does not change under its hands."""
    scenarios = ScenarioMap()
    scenarios.add([_scenario("a")])
    seen = scenarios.all()
    scenarios.add([_scenario("b")])
    scenarios.remove("id-a")
    assert [scenario.id for scenario in seen] == ["id-a"]


def test_reserved_name_conflicts(board: Board) -> None:
    """A name is taken from the reservation on; the loser learns who holds it."""
    scenarios = ScenarioMap()
    first = [_scenario("a", "soak"), _scenario("b", "soak")]
    scenarios.reserve(first)
    with pytest.raises(NameConflict, match="scenario_name 'soak' is already running") as caught:
        scenarios.reserve([_scenario("c", "soak")])
    assert caught.value.conflicting == first
    assert [scenario.counters().state for scenario in caught.value.conflicting] == [State.PENDING, State.PENDING]
    scenarios.add(first)
    assert scenarios.active("soak") == first
    assert scenarios.active("SOAK") == []


def test_a_given_up_reservation_frees_the_name() -> None:
    """A body that was not launched leaves nothing."""
    scenarios = ScenarioMap()
    first = [_scenario("a", "soak")]
    scenarios.reserve(first)
    scenarios.give_up(first)
    assert scenarios.active("soak") == []
    scenarios.reserve([_scenario("b", "soak")])


def test_finished_and_nameless_never_conflict() -> None:
    """Finished scenarios hold no name, and bodies without one never conflict."""
    scenarios = ScenarioMap()
    finished, running = _scenario("a", "soak"), _scenario("b", "soak")
    scenarios.add([finished, running])
    finished.freeze(None, 900)
    assert scenarios.active("soak") == [running]
    running.freeze(None, 900)
    scenarios.reserve([_scenario("c", "soak")])
    scenarios.reserve([_scenario("d")])
    scenarios.reserve([_scenario("e")])
    assert scenarios.active(None) == []


def test_capacity_counts_finished_and_reserved() -> None:
    """Places are taken by scenarios in any state and by reservations, all or nothing; removing frees them."""
    scenarios = ScenarioMap(capacity=3)
    finished, reserved = _scenario("a"), _scenario("b")
    scenarios.add([finished])
    finished.freeze(None, 900)
    scenarios.reserve([reserved])
    with pytest.raises(CapacityError, match=r"^1 scenarios active \(max 3\); DELETE finished or stuck") as caught:
        scenarios.reserve([_scenario("c"), _scenario("d")])
    assert caught.value.scenarios == [finished]
    scenarios.reserve([_scenario("c")])
    with pytest.raises(CapacityError):
        scenarios.reserve([_scenario("d")])
    scenarios.remove("id-a")
    scenarios.reserve([_scenario("d")])


def test_what_goes_on_is_kept_with_the_place_that_it_goes_on_from() -> None:
    """A daemon that is killed before the new worker has kept anything has not forgotten where the run was."""
    checkpoint = Checkpoint(counters=Counters(total_events=42, next_tick=42))
    scenario = LaunchedScenario("a", planned_entry(), None, 0, Resume(checkpoint=checkpoint))
    scenario.start(Start(start_ns=1, wall_ns=2))
    assert scenario.kept_run("a", scenario.entry).checkpoint == checkpoint
