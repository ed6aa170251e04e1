"""Where a run is: noted in its counters, and kept in its checkpoint when it may be continued."""

from typing import Final

from common.checkpoints import TICKS_BIT, CheckpointWriter, Counting
from common.counters import Counters
from common.states import State
from worker.delivery import Delivery
from worker.ticks.cursor import Cursor

_WHOLE_INTERVAL_NS: Final = 100_000_000
"""How old what is kept beside the position may be: what was done how often, and the processor time."""


class Position:
    """The position of one run.

    PERF: a wake-up finds cold caches, and costs what it touches. So after a batch that was delivered as a whole one
    number is written, to which everything else follows; all counters are written when it does not, and now and then.

    Args:
        counters: noted in.
        delivery: knows what the destination has.
        kept: where checkpoints are kept; None for a run that will not be continued.
        is_summed_up: whether a digest is made, which does not follow from ticks and bytes.

    Attributes:
        is_kept: whether the run may be continued.
    """

    def __init__(
        self, counters: Counters, delivery: Delivery, kept: CheckpointWriter | None, *, is_summed_up: bool = False
    ) -> None:
        self.is_kept = kept is not None
        self._counters = counters
        self._delivery = delivery
        self._kept = kept
        self._next_tick = counters.next_tick
        self._since = None if kept is None else kept.since
        # Until when what was kept last suffices, what its position lacks to the number that stands since, and how far
        # deliveries were behind the position: while that stays, all that was fired was delivered.
        self._suffices_ns = 0 if is_summed_up else _WHOLE_INTERVAL_NS
        self._whole_due_ns = 0
        self._offset = 0
        self._behind = 0

    def move_to(self, next_tick: int) -> None:
        """Go on with the tick of this number, perhaps in another segment."""
        self._next_tick = next_tick
        self._whole_due_ns = 0

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

    def keep(self, now_ns: int) -> None:
        """Keep all that was noted, at `now_ns` (monotonic)."""
        counters = self._counters
        # The state before the end is the one to go on in.
        if self._kept is None or counters.state == State.FINISHED:
            return
        nothing_since = self._kept.save(counters)
        self._offset = nothing_since - (counters.next_tick << TICKS_BIT) - counters.bytes_emitted
        self._behind = counters.next_tick - counters.acknowledged_events + counters.in_doubt_events
        self._whole_due_ns = now_ns + self._suffices_ns

    def advance(self, now_ns: int) -> None:
        """Keep where the run is after a batch, or a part of one, at `now_ns` (monotonic)."""
        since = self._since
        if since is None:
            return
        counters, next_tick = self._counters, self._delivery.next_tick
        behind = next_tick - counters.acknowledged_events + counters.in_doubt_events
        if now_ns < self._whole_due_ns and behind == self._behind:
            since[0] = self._offset + (next_tick << TICKS_BIT) + counters.bytes_emitted
        else:
            self.note()
            self.keep(now_ns)

    def keep_counted(self, observer: Counting | None) -> None:
        """Keep what a generator has counted, up to where the run is."""
        if self._kept is not None and observer is not None:
            self.note()
            self._kept.save_counted(self._counters, observer)
