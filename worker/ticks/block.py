"""DueEvents encoded before they are due, and cut off part by part as they become due.

PERF: with many entries in turn on a core, a wake-up costs what it touches, from cold caches. So a cut looks up two
lists and slices three buffers; nothing is computed.
"""

from array import array
from bisect import bisect_right

import msgspec

from common.board import samples_of
from worker.ticks.batch import Batch, Encoded
from worker.ticks.cursor import Cursor


class DueEvents(msgspec.Struct, frozen=True, eq=False):
    """Due events, ready for delivery.

    Attributes:
        first_tick: the number of the first.
        made: their ticks; None where they were encoded ahead.
        encoded: their bytes.
        in_burst: whether the ticks lie in a burst.
        first_stamp_ns: the first one's stamp.
        block: what they were cut off from, where they were encoded ahead.
        start: the place of the first in it.
        next_ns: when the next one is due on the scenario clock, where it is encoded already; otherwise -1.
    """

    first_tick: int
    made: Batch | None
    encoded: Encoded
    in_burst: bool
    first_stamp_ns: int
    block: "TickBlock | None" = None
    start: int = 0
    next_ns: int = -1

    @property
    def batch(self) -> Batch:
        """Their ticks; PERF: of those that were encoded ahead seldom asked for."""
        if self.block is not None:
            return self.block.batch.part(self.start, self.start + self.encoded.events)
        assert self.made is not None  # noqa: S101 - one of the two is there
        return self.made


class TickBlock:
    """Encoded ticks, the position before them, and how many of them have been taken.

    Args:
        events: all of them.
        zero_ns: the stamp of scenario-clock instant 0.
        cursor: the position.

    Attributes:
        cursor: see above.
        taken: how many were cut off.
        deadline_ns: when the next one is due on the scenario clock; -1 behind the last.
        batch: all of them.
        samples: the same as `samples_of` makes them; None for logs.
    """

    __slots__ = (
        "_count",
        "_encoded",
        "_ends",
        "_first_tick",
        "_in_burst",
        "_stamps_ns",
        "_zero_ns",
        "batch",
        "cursor",
        "deadline_ns",
        "samples",
        "taken",
    )

    def __init__(self, events: DueEvents, zero_ns: int, cursor: Cursor) -> None:
        self.cursor = cursor
        self.taken = 0
        self._encoded = events.encoded
        self._in_burst = events.in_burst
        self._zero_ns = zero_ns
        self.batch = batch = events.batch
        self._first_tick = events.first_tick
        # Arrays, whose numbers take a fifth of the memory of a list's.
        self._stamps_ns = array("q", batch.stamps_ns.tobytes())
        self._count = len(self._stamps_ns)
        # So that the deadline behind the last is -1.
        self._stamps_ns.append(zero_ns - 1)
        self._ends = array("q", (0,))
        self._ends.frombytes(events.encoded.ends().tobytes())
        self.samples = None
        if batch.values.dtype == float:
            self.samples = samples_of(batch.first_tick, batch.stamps_ns, batch.values, batch.spike_mask)
        self.deadline_ns = self._stamps_ns[0] - zero_ns

    def cut(self, now_ns: int) -> DueEvents | None:
        """Return the ticks due at `now_ns`, or None."""
        if now_ns < self.deadline_ns:
            return None
        start, stamps_ns, ends = self.taken, self._stamps_ns, self._ends
        self.taken = stop = bisect_right(stamps_ns, now_ns + self._zero_ns, start, self._count)
        self.deadline_ns = next_ns = stamps_ns[stop] - self._zero_ns
        encoded = self._encoded
        per_event, record_ends = encoded.records_per_event, encoded.known_ends
        if record_ends is not None:
            record_ends = record_ends[start * per_event : stop * per_event] - ends[start]
        return DueEvents(
            self._first_tick + start,
            None,
            Encoded(encoded.payload[ends[start] : ends[stop]], stop - start, per_event, record_ends),
            self._in_burst,
            stamps_ns[start],
            self,
            start,
            next_ns,
        )
