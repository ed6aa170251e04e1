"""From due ticks to encoded events: the schedule, the generator and the encoder of one entry.

::

    many are due    due ticks ──► generator ──► encoder ──► events
    few are due     due ticks and those that follow ──► generator ──► encoder ──► block
                    at this wake-up and at later ones, part by part:              block ─ ─► events

A tick's value, labels and stamp do not depend on when it is fired. So a scenario of few ticks a wake-up encodes a
block of them at once, where it can in the time in which it would wait anyway, and a wake-up only cuts off what is due.

PERF: a cut touches a fifth of what generating and encoding do; see `block.py`.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.encoders import Encoder
from worker.generators import Generator, Observer
from worker.ticks.batch import USUAL_BATCH_EVENTS, Batch, TickBefore
from worker.ticks.block import DueEvents, TickBlock
from worker.ticks.cursor import Cursor
from worker.ticks.schedule import Schedule, Span

_FEWEST_AHEAD: Final = 16
_MOST_AHEAD: Final = 512
"""PERF: so many ticks cost a fifth each of what a block of 16 costs, and stay in the processor's cache."""

_FEW_TICKS: Final = 256
"""Wake-ups of more ticks than this are served as well by a batch of their own."""

_NOTHING: Final = np.zeros(1)
"""The row before the first tick."""

_BATCH_BYTES: Final = 1024 * 1024
"""Batches of long events are cut to about this size, so that a batch is written and counted in a bounded time."""


_QUICK_NS: Final = 100_000_000
"""A batch that took longer is not followed by a large one: a stop, a gate or a change would wait for all of it."""


class Production:
    """Makes the events of one entry.

    Args:
        schedule: which ticks are due.
        generator: their values.
        encoder: their bytes.
        most_ticks: upper bound of ticks in a batch.
        ticks_per_request: batches end at a multiple of it where they can, so that a request is not made of two parts;
            where it is 1, at a multiple of the usual batch.
        looks_ahead: whether ticks may be encoded before they are due: not when values must be drawn in order, nor
            when a gate may hold the ticks back.
        looks_back: whether the encoder must know the tick before a batch.
    """

    def __init__(
        self,
        schedule: Schedule,
        generator: Generator,
        encoder: Encoder,
        most_ticks: int,
        *,
        looks_ahead: bool,
        looks_back: bool = False,
        ticks_per_request: int = 1,
    ) -> None:
        self._schedule = schedule
        self._generator = generator
        self._encoder = encoder
        self._most_ticks = most_ticks
        self._looks_ahead = looks_ahead
        self._looks_back = looks_back
        # PERF: a stretch computes its instants by the same multiples; a batch across one has to join two parts.
        usual = min(USUAL_BATCH_EVENTS, most_ticks)
        self._ends_at_multiples_of = ticks_per_request if ticks_per_request > 1 else usual
        # A second's worth: the memory of a slow scenario is that of few events.
        self._ahead_ticks = min(max(int(schedule.ticks_per_sec), _FEWEST_AHEAD), _MOST_AHEAD)
        self._cursor = schedule.start
        self._newest: Cursor | None = None
        self._block: TickBlock | None = None
        self._last_events = 0
        self._newest_row: tuple[int, NDArray[Any]] = -1, _NOTHING
        self._followed: tuple[int, TickBefore] | None = None
        # The first tick goes alone: it shows how long an event is.
        self._limit = 1
        self._asked_ns = 0

    @property
    def cursor(self) -> Cursor:
        """The position behind all events taken, whatever has been encoded ahead."""
        return self._cursor if self._block is None else self._behind_taken(self._block)

    @property
    def next_tick(self) -> int:
        """The number of the tick that comes next."""
        return self._schedule.number(self.cursor.tick)

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

    def follow(self, before: "Production") -> None:
        """Let the tick before the next one be that of the production that this one replaces."""
        if self._looks_back:
            self._followed = self._cursor.tick, before._behind(before.cursor)

    def begin_segment(self, at_ns: int) -> None:
        """Start a segment at an instant of the scenario clock, as `Schedule.begin_segment`."""
        self.move_to(self._schedule.begin_segment(self.cursor, at_ns))

    def end_segment(self, at_ns: int) -> None:
        """End the segment at an instant of the scenario clock, as `Schedule.end_segment`."""
        self.move_to(self._schedule.end_segment(self.cursor, at_ns))

    def newest_stamp_ns(self, until_ns: int) -> int:
        """Return the stamp of the newest tick of the segment before an instant, of those of all shares.

        Ticks behind the next one that is to be taken here do not count.
        """
        cursor, newest = self.cursor, self._newest
        if newest is None or newest.segment_ns != cursor.segment_ns:
            newest = self._schedule.begin_of_segment(cursor)
        return self._schedule.newest_stamp_ns(newest, min(until_ns, cursor.segment_ns + cursor.offset_ns))

    def take(self, now_ns: int, grace_ns: int) -> DueEvents | None:
        """Return the oldest due events, or None when no tick is due; arguments as of `Schedule.take`.

        Raises:
            EncoderError: the encoder cannot take an event.
            Interrupted: a stop was asked while values were drawn.
        """
        block = self._block
        if block is not None:
            if now_ns - block.deadline_ns <= grace_ns or not self._schedule.drops_overdue_at(block.cursor, now_ns):
                return self._cut(block, now_ns)
            self.move_to(self._behind_taken(block))
        ahead = self._ahead_ticks if self._looks_ahead else 1
        span, self._cursor = self._schedule.take(self._cursor, now_ns, grace_ns, self._next_limit(now_ns), ahead)
        if span is None:
            return None
        self._newest = span.begin
        events = self._make(span)
        self._last_events = span.due
        if span.due == len(span.stamps_ns):
            return events
        self._block = block = TickBlock(events, self._schedule.anchor_ns, span.begin)
        return self._cut(block, now_ns)

    def look_ahead(self) -> int:
        """Encode ticks that are not due yet, where that makes later wake-ups cheaper; called before a wait.

        Returns:
            `deadline_ns`.

        Raises:
            EncoderError: the encoder cannot take an event.
        """
        if self._looks_ahead and self._block is None and 0 < self._last_events <= _FEW_TICKS:
            ahead = self._schedule.take_ahead(self._cursor, min(self._limit, self._ahead_ticks))
            if ahead is not None:
                span, behind = ahead
                self._block = TickBlock(self._make(span), self._schedule.anchor_ns, span.begin)
                self._cursor = behind
        return self.deadline_ns

    def _behind_taken(self, block: TickBlock) -> Cursor:
        if not block.taken:
            return block.cursor
        return self._schedule.behind(block.cursor, block.taken)

    def _next_limit(self, now_ns: int) -> int:
        """Return how many ticks the next batch may have."""
        took_ns, self._asked_ns = now_ns - self._asked_ns, now_ns
        tick, limit = self._schedule.number(self._cursor.tick), self._limit
        if took_ns > _QUICK_NS:
            limit = min(limit, USUAL_BATCH_EVENTS)
        whole = limit - (tick + limit) % self._ends_at_multiples_of
        return whole if whole > 0 else limit

    def _make(self, span: Span) -> DueEvents:
        before = self._behind(span.begin) if self._looks_back else None
        values = self._generator.values(span.first_tick, len(span.stamps_ns))
        batch = Batch(span.first_tick, values, span.stamps_ns, span.spike_mask, self._schedule.anchor_ns, before=before)
        if self._looks_back:
            self._newest_row = span.first_tick + len(values) - 1, values[-1:].copy()
        encoded = self._encoder.encode(batch)
        self._limit = min(self._most_ticks, max(len(batch) * _BATCH_BYTES // len(encoded.payload), 1))
        return DueEvents(span.first_tick, batch, encoded, span.in_burst, span.stamps_ns.item(0))

    def _behind(self, cursor: Cursor) -> TickBefore:
        """Return the tick before a position: the newest one of a generator that counts, else the number before."""
        if self._followed is not None and self._followed[0] == cursor.tick:
            return self._followed[1]
        first_tick = self._schedule.number(cursor.tick)
        tick, row = self._newest_row
        if isinstance(self._generator, Observer):
            row = self._generator.counted
        elif tick != first_tick - 1:
            row = self._generator.values(first_tick - 1, 1) if first_tick else _NOTHING
        return TickBefore(row, self._schedule.stamp_before_ns(cursor))

    def _cut(self, block: TickBlock, now_ns: int) -> DueEvents | None:
        events = block.cut(now_ns)
        if events is not None:
            self._last_events = events.encoded.events
            if events.next_ns < 0:
                self._block = None
        return events
