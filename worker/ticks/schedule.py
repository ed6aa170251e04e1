"""Which ticks are due at an instant of the scenario clock. Pure: position and instant are arguments.

::

    segment     0 ──────────────────────────────────────────────────────────────► scenario clock, ns since T0
    windows     [burst       )              [ gap            )[burst       )
    stretches   |rate·m      |rate          |  silent        |rate·m       |rate
    spans       |1024 |1024 |7 |1024 |…                       |1024 |…

A segment is an uninterrupted stretch of emission and has its own offset 0. Inside it a stretch is a run of ticks at
one rate, and a span is a run of due ticks that share burst and label spikes: what becomes one batch. Windows are
judged by a tick's scheduled offset, rounded to whole nanoseconds, never by the clock.

Where a run stands is a `Cursor`; every step takes one and returns the next.

Source: docs/values.md, "Ticks", "Windows" and "Labels".
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.plan import EntryPlan, ReplayColumn, ReplayRows
from worker.ticks.cursor import Cursor, LeftOff, Origin, Quiet
from worker.ticks.stretch import Stretch
from worker.ticks.windows import Windows

NEVER_NS: Final = 1 << 62
"""Later than any instant a run reaches: 146 years."""

# No machine fires a tick every femtosecond, and nobody waits for one in a century: between the two, offsets are exact.
_SHORTEST_PERIOD: Final = Fraction(1, 1_000_000)
_LONGEST_PERIOD: Final = Fraction(NEVER_NS)
_MOST_PLACES: Final = 1 << 62
_GRID: Final = Origin()


@dataclass(slots=True)
class Span:
    """Due ticks that share everything but number and stamp.

    Attributes:
        first_tick: number of the first tick.
        stamps_ns: int64[count], ns since the epoch, never decreasing.
        spike_mask: the label spikes active at all of them, bit i for `cardinality_spikes[i]`.
        in_burst: whether they lie in a burst.
    """

    first_tick: int
    stamps_ns: NDArray[np.int64]
    spike_mask: int
    in_burst: bool


class Schedule:
    """The tick engine of one entry.

    Args:
        plan: rate, duration and windows.
        anchor_ns: what scenario clock 0 is in stamps, ns since the epoch.

    Attributes:
        anchor_ns: see above.
        end_ns: the scenario-clock instant at which the run is over, or None.
        start: the position of a run that begins with a segment at scenario clock 0.
    """

    def __init__(self, plan: EntryPlan, anchor_ns: int) -> None:
        self.anchor_ns = anchor_ns
        self.end_ns = plan.duration_ns
        self._period = _period(Fraction(plan.rate))
        self._burst_period = _period(Fraction(plan.rate) * Fraction(plan.bursts.multiplier if plan.bursts else 1))
        self._grid = Stretch(Fraction(0), self._period)
        self._windows = Windows(plan, self._grid)
        self._is_replay = isinstance(plan.generator, ReplayColumn | ReplayRows)
        self._drops_overdue = not self._is_replay and not plan.gap_windows
        self._newest: tuple[Origin, Stretch] = _GRID, self._grid
        self.start = self._judged(Cursor(segment_ns=0, segment_tick=0, tick=0, origin=_GRID, place=0, offset_ns=0))

    def begin_segment(self, cursor: Cursor, at_ns: int) -> Cursor:
        """Start a segment: the next tick is due at `at_ns`, and the cycles of all windows start again."""
        return self._judged(
            Cursor(
                segment_ns=at_ns,
                segment_tick=cursor.tick,
                tick=cursor.tick,
                origin=_GRID,
                place=0,
                offset_ns=self._grid.offset(0),
                left_off=cursor.left_off,
            )
        )

    def end_segment(self, cursor: Cursor, at_ns: int) -> Cursor:
        """End the segment at `at_ns`: ticks that a silence would have suppressed later on are still to come."""
        left_off = cursor.left_off
        if left_off is None:
            return cursor
        reached = self._stretch(left_off.origin).first_at(at_ns - cursor.segment_ns)
        reached += left_off.tick if self._is_replay else cursor.segment_tick
        return msgspec.structs.replace(cursor, tick=min(cursor.tick, max(left_off.tick, reached)))

    def deadline_ns(self, cursor: Cursor) -> int:
        """Return, after `take` returned None, the scenario-clock instant at which to ask again."""
        deadline_ns = cursor.segment_ns + cursor.offset_ns
        if self.end_ns is not None and deadline_ns >= self.end_ns:
            return self.end_ns
        return deadline_ns if cursor.quiet is None else cursor.segment_ns + cursor.quiet.start_ns

    def take(self, cursor: Cursor, now_ns: int, grace_ns: int, limit: int) -> tuple[Span | None, Cursor]:
        """Return the oldest due ticks, or None when none is due, and the position behind them.

        Args:
            cursor: the position.
            now_ns: the instant on the scenario clock; never decreasing.
            grace_ns: how late a tick may be fired by design. A tick that is later is overdue: it is not fired when
                the run is over, nor, unless the run has one-shot silences, while a periodic gap lasts.
            limit: upper bound of ticks in a span, at least 1.
        """
        now = now_ns - cursor.segment_ns
        while True:
            offset = cursor.offset_ns
            if self.end_ns is not None and cursor.segment_ns + offset >= self.end_ns:
                return None, cursor
            if cursor.quiet is not None:
                if now < cursor.quiet.start_ns:
                    return None, cursor
                cursor = self._behind(cursor.quiet, cursor)
                continue
            if now < offset:
                return None, cursor
            if now - offset > grace_ns:
                if self.end_ns is not None and now_ns >= self.end_ns:
                    return None, cursor
                gap = self._windows.gap_at(now) if self._drops_overdue else None
                if gap is not None:
                    cursor = self._behind(gap, cursor)
                    continue
            return self._advance(cursor, now, limit)

    def take_ahead(self, cursor: Cursor, limit: int) -> tuple[Span, Cursor] | None:
        """Return up to `limit` ticks that are not due yet, and the position behind them; None when none is to be fired.

        To be called after `take` returned None.
        """
        if cursor.in_gap or cursor.quiet is not None or cursor.offset_ns >= NEVER_NS:
            return None
        if self.end_ns is not None and cursor.segment_ns + cursor.offset_ns >= self.end_ns:
            return None
        return self._advance(cursor, NEVER_NS, limit)

    def _advance(self, cursor: Cursor, now: int, limit: int) -> tuple[Span, Cursor]:
        stretch, place = self._stretch(cursor.origin), cursor.place
        count = min(limit, stretch.block_ticks - place % stretch.block_ticks, cursor.edge - place)
        if count > 1 and stretch.offset(place + count - 1) > now:
            count = 1 if stretch.offset(place + 1) > now else stretch.first_at(now + 1) - place
        stamps_ns = stretch.offsets(place, count, self.anchor_ns + cursor.segment_ns)
        span = Span(cursor.tick, stamps_ns, cursor.spike_mask, cursor.origin.in_burst)
        place += count
        following = msgspec.structs.replace(
            cursor, tick=cursor.tick + count, place=place, offset_ns=stretch.offset(place), left_off=None
        )
        return span, self._judged(following) if place == cursor.edge else following

    def _behind(self, quiet: Quiet, cursor: Cursor) -> Cursor:
        """Enter a silence, and move to the first slot of the base grid at or after its end, or behind its rows."""
        here = cursor.origin.behind(cursor.place, in_burst=False)
        left_off = cursor.left_off or LeftOff(cursor.tick, here if self._is_replay else _GRID)
        if quiet.rows is None:
            origin, place = _GRID, self._grid.first_at(quiet.end_ns)
            tick = max(cursor.tick, cursor.segment_tick + place)
        else:
            origin, place = here.behind(quiet.rows, in_burst=False), 0
            tick = cursor.tick + quiet.rows
        offset = self._stretch(origin).offset(place)
        return self._judged(
            msgspec.structs.replace(cursor, tick=tick, origin=origin, place=place, offset_ns=offset, left_off=left_off)
        )

    def _judged(self, cursor: Cursor) -> Cursor:
        """Find out what holds at the next tick, and up to which tick it does.

        The first tick at or behind an edge is judged again by its own offset, so a window that lies between two ticks
        is passed over.
        """
        windows, offset = self._windows, cursor.offset_ns
        quiet = windows.quiet_at(offset, cursor.segment_ns, cursor.tick)
        if quiet is not None:
            return msgspec.structs.replace(cursor, quiet=quiet)
        origin, place = cursor.origin, cursor.place
        in_burst = windows.in_burst(offset)
        if in_burst is not origin.in_burst:
            origin, place = origin.behind(place, in_burst=in_burst), 0
        end_ns = NEVER_NS if self.end_ns is None else self.end_ns - cursor.segment_ns
        edge_ns = min(NEVER_NS, end_ns, *windows.edges(offset, cursor.segment_ns))
        edge = min(self._stretch(origin).first_at(edge_ns), _MOST_PLACES)
        rows = windows.rows_before_silence(cursor.tick)
        if rows is not None:
            edge = min(edge, place + rows)
        return msgspec.structs.replace(
            cursor, origin=origin, place=place, edge=edge, spike_mask=windows.spike_mask(offset), quiet=None
        )

    def _stretch(self, origin: Origin) -> Stretch:
        """Return the stretch that begins at `origin`; PERF: the newest one is kept, cursor after cursor has it."""
        if origin is self._newest[0]:
            return self._newest[1]
        if origin == _GRID:
            return self._grid
        begin = origin.base_ticks * self._period + origin.burst_ticks * self._burst_period
        stretch = Stretch(begin, self._burst_period if origin.in_burst else self._period)
        self._newest = origin, stretch
        return stretch


def _period(rate_per_sec: Fraction) -> Fraction:
    return min(max(Fraction(1_000_000_000) / rate_per_sec, _SHORTEST_PERIOD), _LONGEST_PERIOD)
