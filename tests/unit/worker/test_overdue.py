"""Late ticks when the run is over, or in a gap: fired when the machine was late, left out when the sink was."""

from collections.abc import Callable

import pytest

from common.messages import Retune
from common.plan import Cycle, EntryPlan
from common.tuning import Tuning
from tests.support.stage import Stage, counting

NS = 1_000_000_000
MS = 1_000_000


@pytest.fixture
def stage() -> Stage:
    return Stage()


def numbers(stage: Stage) -> list[int]:
    return [int(line.split()[1]) for line in stage.lines]


def at(stage: Stage, offset_ns: int, what: Callable[[], None]) -> None:
    """Do it at the first wake-up at or after this time of the run."""

    def woken() -> None:
        if stage.clock.now_ns - stage.start_ns >= offset_ns:
            stage.waiter.on_wait = lambda: None
            what()

    stage.waiter.on_wait = woken


def sleep(stage: Stage, duration_ns: int) -> None:
    stage.clock.now_ns += duration_ns


def test_a_run_that_is_woken_after_its_end_fires_what_fell_due(stage: Stage) -> None:
    """A process that did not get the processor for ten seconds has every tick of its last second."""
    at(stage, 300 * MS, lambda: sleep(stage, 10 * NS))
    assert stage.run(counting(10.0, NS)) == "duration"
    assert numbers(stage) == list(range(10))


def test_a_run_that_begins_after_its_end_fires_all(stage: Stage) -> None:
    """Between its start and its first tick only the machine, and the opening of the sink, can be late."""
    stage.clock.now_ns += 10 * NS
    assert stage.run(counting(10.0, NS)) == "duration"
    assert numbers(stage) == list(range(10))


def test_a_sink_that_is_late_costs_what_fell_due(stage: Stage) -> None:
    """What a destination holds up until the run is over is left out, so that the run ends at its duration."""

    def block() -> None:
        stage.sink.write_ns = 10 * NS

    at(stage, 300 * MS, block)
    assert stage.run(counting(10.0, NS)) == "duration"
    assert numbers(stage) == [0, 1, 2, 3]


def test_a_run_that_never_waits_ends_at_its_duration(stage: Stage) -> None:
    """As many events as the sink takes until then, not as many as were asked for."""
    stage.sink.write_ns = 10 * MS
    assert stage.run(counting(1e9, NS)) == "duration"
    assert stage.clock.now_ns - stage.start_ns == NS
    assert 99 <= len(stage.sink.written) <= 100


def test_so_does_one_that_is_changed(stage: Stage) -> None:
    """However late it was when it was changed."""
    tuning = Tuning(rate=1e9, duration_ns=NS, labels={}, generator=None, jitter=0.0, jitter_seed=0)
    stage.waiter.retunes = [(stage.start_ns + 400 * MS, Retune(scenario_id="a", number=1, tuning=tuning), True)]
    stage.sink.write_ns = 10 * MS
    assert stage.run(counting(1e9, NS)) == "duration"
    assert len(stage.waiter.held) == 1
    assert NS <= stage.clock.now_ns - stage.start_ns <= NS + 500 * MS


@pytest.mark.parametrize("late_ns", [150 * MS, 10 * NS + 150 * MS])
def test_a_wake_up_that_is_late_in_a_gap_leaves_no_hole_before_it(stage: Stage, late_ns: int) -> None:
    """Gaps begin and end with the ticks that are due then, however late these are."""

    def run(plan: EntryPlan) -> list[int]:
        stage = Stage()
        stage.run(plan)
        return numbers(stage)

    plan = counting(100.0, 12 * NS, gaps=Cycle(every_ns=NS, for_ns=300 * MS))
    at(stage, 600 * MS, lambda: sleep(stage, late_ns))
    stage.run(plan)
    assert numbers(stage) == run(plan)
