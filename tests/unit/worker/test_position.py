"""Where a run is, in its checkpoint: all of it after a move and a failure, and what a batch changes after each one."""

import numpy as np

from common.checkpoints import Checkpoints, CheckpointWriter
from common.counters import Counters
from common.states import State
from tests.support.deliveries import direct_to
from tests.support.manual_waiter import ManualClock, ManualWaiter
from tests.support.plans import entry_plan
from tests.support.run_stage import EventsSink
from worker.position import Position
from worker.ticks.batch import Batch, Encoded

MS = 1_000_000


class Run:
    """A run that is kept, whose batches are delivered by hand."""

    def __init__(self, *, is_summed_up: bool = False) -> None:
        self._checkpoints, clock = Checkpoints(1), ManualClock()
        self.counters = Counters(state=State.RUNNING)
        direct = direct_to(EventsSink(), entry_plan(), ManualWaiter(clock), clock)
        self.delivery = direct(self.counters, lambda: None)
        kept = CheckpointWriter(self._checkpoints.descriptor, 0)
        self.position = Position(self.counters, self.delivery, kept, is_summed_up=is_summed_up)

    def deliver(self, first_tick: int, ticks: int, now_ns: int) -> None:
        self.counters.batches += 1
        self.delivery.deliver(*batch_of(first_tick, ticks))
        self.position.advance(now_ns)

    @property
    def kept(self) -> Counters:
        found = self._checkpoints.read(0)
        assert found is not None
        return found.counters


def batch_of(first_tick: int, ticks: int) -> tuple[Batch, Encoded]:
    """Return events of five bytes each."""
    batch = Batch(first_tick, np.zeros(ticks), np.zeros(ticks, dtype=np.int64))
    return batch, Encoded(b"beat\n" * ticks, ticks)


def test_a_delivered_batch_is_kept_by_what_it_has_brought() -> None:
    """Everything else is kept now and then."""
    run = Run()
    run.deliver(0, 2, 0)
    run.deliver(2, 3, 99 * MS)
    kept = run.kept
    assert (kept.next_tick, kept.total_events, kept.acknowledged_events) == (5, 5, 5)
    assert (kept.bytes_emitted, kept.written_bytes) == (25, 25)
    assert kept.batches == 1
    run.deliver(5, 1, 100 * MS)
    assert run.kept == run.counters
    assert run.kept.batches == 3


def test_what_does_not_follow_from_a_batch_is_kept_with_it() -> None:
    """Ticks that were passed over, a doubt, a digest, another segment and the hole before it."""
    run = Run()
    counters = run.counters
    run.deliver(0, 1, 0)
    run.deliver(4, 1, 1)
    assert (run.kept.next_tick, run.kept.total_events) == (5, 2)
    counters.in_doubt_events = 1
    run.deliver(5, 1, 2)
    assert run.kept == counters
    counters.segment_ns, counters.segment_tick, counters.hole_ticks = 500, 9, 2
    run.position.move_to(9)
    run.deliver(9, 1, 3)
    assert run.kept == counters
    summed_up = Run(is_summed_up=True)
    for tick in range(3):
        summed_up.counters.digest_first = tick
        summed_up.deliver(tick, 1, tick)
        assert summed_up.kept == summed_up.counters


def test_the_end_is_not_kept() -> None:
    """A run that has ended while the daemon dies goes on in the state before."""
    run = Run()
    run.position.keep(0)
    run.counters.state = State.FINISHED
    run.position.keep(1)
    assert run.kept.state == State.RUNNING
