"""From due ticks to encoded events: the schedule, the generator and the encoder of one entry.

::

    at a wake-up    due ticks ──► generator ──► encoder ──► events
    before a wait   next ticks ──► generator ──► encoder ──► block ─ ─ at later wake-ups, part by part ─ ─► events

A tick's value, labels and stamp do not depend on when it is fired. So a scenario of few ticks a wake-up encodes a
block of them at once, in the time in which it would wait anyway, and a wake-up only cuts off what is due.

PERF: with a hundred processes in turn on a core, a wake-up costs what it touches, from cold caches. The cut touches
a fifth of what generating and encoding do.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from worker.encoders import Encoder
from worker.generators import Generator
from worker.ticks.batch import Batch, Encoded
from worker.ticks.cursor import Cursor
from worker.ticks.schedule import Schedule, Span

_BLOCK_TICKS: Final = 256
_FEW_TICKS: Final = 64
"""Wake-ups of more ticks than this are served as well by a batch of their own."""

_BATCH_BYTES: Final = 1024 * 1024
"""Batches of long events are cut to about this size, so that a batch is written and counted in a bounded time."""


@dataclass(frozen=True, slots=True)
class Events:
    """Due events, ready for delivery.

    Attributes:
        batch: their ticks.
        encoded: their bytes.
        in_burst: whether the ticks lie in a burst.
    """

    batch: Batch
    encoded: Encoded
    in_burst: bool


class Production:
    """Makes the events of one entry.

    Args:
        schedule: which ticks are due.
        generator: their values.
        encoder: their bytes.
        most_ticks: upper bound of ticks in a batch.
        looks_ahead: whether ticks may be encoded before they are due: not when values must be drawn in order, nor
            when a gate may hold the ticks back.
    """

    def __init__(
        self, schedule: Schedule, generator: Generator, encoder: Encoder, most_ticks: int, *, looks_ahead: bool
    ) -> None:
        self._schedule = schedule
        self._generator = generator
        self._encoder = encoder
        self._most_ticks = most_ticks
        self._looks_ahead = looks_ahead
        self._cursor = schedule.start
        self._block: _Block | None = None
        self._last_events = 0
        # The first tick goes alone: it shows how long an event is.
        self._limit = 1

    @property
    def cursor(self) -> Cursor:
        """The position behind all events taken, whatever has been encoded ahead."""
        return self._cursor if self._block is None else self._behind_taken(self._block)

    @property
    def deadline_ns(self) -> int:
        """After `take` returned None, the scenario-clock instant at which to ask again."""
        return self._schedule.deadline_ns(self._cursor) if self._block is None else self._block.deadline_ns

    @property
    def in_gap(self) -> bool:
        """Whether a silence was entered and no tick was taken since."""
        return self._cursor.in_gap

    def move_to(self, cursor: Cursor) -> None:
        """Go on from another position."""
        self._cursor = cursor
        self._block = None

    def begin_segment(self, at_ns: int) -> None:
        """Start a segment at an instant of the scenario clock, as `Schedule.begin_segment`."""
        self.move_to(self._schedule.begin_segment(self.cursor, at_ns))

    def end_segment(self, at_ns: int) -> None:
        """End the segment at an instant of the scenario clock, as `Schedule.end_segment`."""
        self.move_to(self._schedule.end_segment(self.cursor, at_ns))

    def take(self, now_ns: int, grace_ns: int) -> Events | None:
        """Return the oldest due events, or None when no tick is due; arguments as of `Schedule.take`.

        Raises:
            EncoderError: the encoder cannot take an event.
            Interrupted: a stop was asked while values were drawn.
        """
        block = self._block
        if block is not None:
            if now_ns - block.deadline_ns <= grace_ns:
                return self._cut(block, now_ns)
            # Overdue ticks are up to the schedule.
            self.move_to(self._behind_taken(block))
        span, self._cursor = self._schedule.take(self._cursor, now_ns, grace_ns, self._limit)
        if span is None:
            return None
        self._last_events = len(span.stamps_ns)
        return self._make(span)

    def look_ahead(self) -> None:
        """Encode ticks that are not due yet, where that makes later wake-ups cheaper; called before a wait.

        Raises:
            EncoderError: the encoder cannot take an event.
        """
        if self._looks_ahead and self._block is None and 0 < self._last_events <= _FEW_TICKS:
            ahead = self._schedule.take_ahead(self._cursor, min(self._limit, _BLOCK_TICKS))
            if ahead is not None:
                span, behind = ahead
                self._block = _Block(self._make(span), self._schedule.anchor_ns, self._cursor)
                self._cursor = behind

    def _behind_taken(self, block: "_Block") -> Cursor:
        if not block.taken:
            return block.cursor
        ahead = self._schedule.take_ahead(block.cursor, block.taken)
        assert ahead is not None  # noqa: S101 - these ticks were taken ahead before
        return ahead[1]

    def _make(self, span: Span) -> Events:
        values = self._generator.values(span.first_tick, len(span.stamps_ns))
        batch = Batch(span.first_tick, values, span.stamps_ns, span.spike_mask)
        encoded = self._encoder.encode(batch)
        self._limit = min(self._most_ticks, max(len(batch) * _BATCH_BYTES // len(encoded.payload), 1))
        return Events(batch, encoded, span.in_burst)

    def _cut(self, block: "_Block", now_ns: int) -> Events | None:
        events = block.cut(now_ns)
        if events is not None:
            self._last_events = len(events.batch)
            if block.deadline_ns < 0:
                self._block = None
        return events


class _Block:
    """Encoded ticks, the position before them, and how many of them have been taken."""

    __slots__ = ("_ends", "_events", "_offsets_ns", "cursor", "deadline_ns", "taken")

    def __init__(self, events: Events, zero_ns: int, cursor: Cursor) -> None:
        self.cursor = cursor
        self._events = events
        self._offsets_ns = (events.batch.stamps_ns - zero_ns).tolist()
        self._ends = [0, *events.encoded.ends().tolist()]
        self.taken = 0
        self.deadline_ns = self._offsets_ns[0]

    def cut(self, now_ns: int) -> Events | None:
        """Return the ticks due at `now_ns`, or None; the deadline is that of the next one, or -1 behind the last."""
        if now_ns < self.deadline_ns:
            return None
        start, offsets_ns = self.taken, self._offsets_ns
        stop = bisect_right(offsets_ns, now_ns, start)
        self.taken = stop
        self.deadline_ns = offsets_ns[stop] if stop < len(offsets_ns) else -1
        batch, encoded = self._events.batch, self._events.encoded
        payload = encoded.payload[self._ends[start] : self._ends[stop]]
        record_ends = encoded.known_ends
        if record_ends is not None:
            per_event = encoded.records_per_event
            record_ends = record_ends[start * per_event : stop * per_event] - self._ends[start]
        return Events(
            Batch(batch.first_tick + start, batch.values[start:stop], batch.stamps_ns[start:stop], batch.spike_mask),
            Encoded(payload, stop - start, encoded.records_per_event, record_ends),
            self._events.in_burst,
        )
