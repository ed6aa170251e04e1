"""Where a run is: noted in its counters, and kept in its checkpoint when it may be continued."""

from common.checkpoints import CheckpointWriter, Counting
from common.counters import Counters
from common.states import State
from worker.delivery import Delivery
from worker.ticks.cursor import Cursor


class Position:
    """The position of one run.

    Args:
        counters: noted in.
        delivery: knows what the destination has.
        kept: where checkpoints are kept; None for a run that will not be continued.

    Attributes:
        is_kept: whether the run may be continued.
    """

    def __init__(self, counters: Counters, delivery: Delivery, kept: CheckpointWriter | None) -> None:
        self.is_kept = kept is not None
        self._counters = counters
        self._delivery = delivery
        self._kept = kept
        self._next_tick = counters.next_tick
        self._has_moved = True

    def move_to(self, next_tick: int) -> None:
        """Go on with the tick of this number, perhaps in another segment."""
        self._next_tick = next_tick
        self._has_moved = True

    def enter(self, cursor: Cursor, next_tick: int) -> None:
        """Go on in the segment of `cursor`."""
        counters = self._counters
        counters.segment_ns, counters.segment_tick = cursor.segment_ns, cursor.segment_tick
        counters.cycle_shift_ns = cursor.cycle_shift_ns
        self.move_to(next_tick)

    def note(self) -> None:
        """Bring the counters up to date."""
        counters, delivery = self._counters, self._delivery
        counters.waiting_events = waiting_events = delivery.waiting_events
        counters.next_tick = delivery.next_tick if waiting_events else max(delivery.next_tick, self._next_tick)

    def keep(self) -> None:
        """Keep what was noted."""
        # The state before the end is the one to go on in.
        if self._kept is not None and self._counters.state != State.FINISHED:
            self._kept.save(self._counters)
            self._has_moved = False

    def advance(self, *, is_whole: bool) -> None:
        """Note and keep it after a batch; `is_whole` says that every event of it counts."""
        if self._kept is None:
            return
        self.note()
        if self._has_moved or not is_whole:
            self.keep()
        else:
            self._kept.advance(self._counters)

    def keep_counted(self, observer: Counting | None) -> None:
        """Keep what a generator has counted up to the position that was kept last."""
        if self._kept is not None:
            self._kept.save_counted(self._counters, observer)
