"""Where a run is, in its checkpoint: all of it after a move and a failure, and what a batch changes after each one."""

from collections.abc import Callable

from common.checkpoints import Checkpoints, CheckpointWriter
from common.counters import Counters
from common.states import State
from tests.support.deliveries import direct_to
from tests.support.manual_waiter import ManualClock, ManualWaiter
from tests.support.plans import entry_plan
from tests.support.run_stage import EventsSink
from worker.position import Position


def at_work() -> tuple[Callable[[], Counters], Counters, Position]:
    """Return what reads the checkpoint of a run, its counters and its position."""
    checkpoints, clock = Checkpoints(1), ManualClock()
    counters = Counters(state=State.RUNNING)
    delivery = direct_to(EventsSink(), entry_plan(), ManualWaiter(clock), clock)(counters, lambda: None)

    def kept() -> Counters:
        found = checkpoints.read(0)
        assert found is not None
        return found.counters

    return kept, counters, Position(counters, delivery, CheckpointWriter(checkpoints.descriptor, 0))


def test_another_segment_is_kept_with_its_first_batch() -> None:
    """And with it whatever else has changed, such as the hole before it."""
    kept, counters, position = at_work()
    position.keep()
    counters.total_events = 3
    position.advance(is_whole=True)
    assert kept() == Counters(state=State.RUNNING, total_events=3)
    counters.errors = 1
    position.advance(is_whole=False)
    assert kept().errors == 1
    counters.segment_ns, counters.segment_tick, counters.hole_ticks = 500, 5, 2
    position.move_to(5)
    counters.total_events = 4
    position.advance(is_whole=True)
    assert kept() == counters
    assert (kept().next_tick, kept().segment_ns, kept().hole_ticks) == (5, 500, 2)


def test_the_end_is_not_kept() -> None:
    """A run that has ended while the daemon dies goes on in the state before."""
    kept, counters, position = at_work()
    position.keep()
    counters.state = State.FINISHED
    position.keep()
    assert kept().state == State.RUNNING
