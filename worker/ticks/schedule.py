"""Which ticks are due at an instant of the scenario clock. Pure: the instant is an argument, nothing waits here.

::

    segment     0 ──────────────────────────────────────────────────────────────► scenario clock, ns since T0
    windows     [burst       )              [ gap            )[burst       )
    stretches   |rate·m      |rate          |  silent        |rate·m       |rate
    spans       |1024 |1024 |7 |1024 |…                       |1024 |…

A segment is an uninterrupted stretch of emission and has its own offset 0. Inside it a stretch is a run of ticks at
one rate, and a span is a run of due ticks that share burst and label spikes: what becomes one batch. Windows are
judged by a tick's scheduled offset, rounded to whole nanoseconds, never by the clock. One-shot silences of a replay
belong to its rows: they are judged by the tick number, whatever pauses and bursts came before.

Source: docs/values.md, "Ticks", "Windows" and "Labels".
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from common.plan import Cycle, EntryPlan, ReplayColumn, ReplayRows, Silence
from worker.ticks.stretch import Stretch

NEVER_NS: Final = 1 << 62
"""Later than any instant a run reaches: 146 years."""

# No machine fires a tick every femtosecond, and nobody waits for one in a century: between the two, offsets are exact.
_SHORTEST_PERIOD: Final = Fraction(1, 1_000_000)
_LONGEST_PERIOD: Final = Fraction(NEVER_NS)


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


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A silence that the next tick lies in.

    Attributes:
        start_ns: where it begins, offset of the segment.
        end_ns: where it ends.
        rows: how many rows of a replay it suppresses from the next tick on; None for a silence that is no row's.
    """

    start_ns: int
    end_ns: int
    rows: int | None = None


class Schedule:
    """The tick engine of one entry; begins with a segment at scenario clock 0.

    Args:
        plan: rate, duration and windows.
        anchor_ns: what scenario clock 0 is in stamps, ns since the epoch.

    Attributes:
        anchor_ns: see above.
        deadline_ns: after `take` returned None, the scenario-clock instant at which to ask again.
        end_ns: the scenario-clock instant at which the run is over, or None.
        in_gap: whether a silence was entered and no tick was taken since.
    """

    def __init__(self, plan: EntryPlan, anchor_ns: int) -> None:
        self.anchor_ns = anchor_ns
        self._bursts = plan.bursts
        self._gaps = plan.gaps
        self._is_replay = isinstance(plan.generator, ReplayColumn | ReplayRows)
        self._drops_overdue = not self._is_replay and not plan.gap_windows
        self._spikes = [spike.cycle for spike in plan.cardinality_spikes]
        self._period = _period(Fraction(plan.rate))
        self._burst_period = _period(Fraction(plan.rate) * Fraction(plan.bursts.multiplier if plan.bursts else 1))
        self._grid = Stretch(Fraction(0), self._period)
        silences = _merged(plan.gap_windows)
        rows = [(self._grid.first_at(one.start_ns), self._grid.first_at(one.end_ns), one.start_ns) for one in silences]
        self._silent_rows = [row for row in rows if row[0] < row[1]] if self._is_replay else []
        self._silent_row_ends = [end for _, end, _ in self._silent_rows]
        self._silences = [] if self._is_replay else silences
        self._silence_ends = [silence.end_ns for silence in self._silences]
        self.end_ns = plan.duration_ns
        self.deadline_ns = 0
        self.in_gap = False
        self._in_burst = False
        self._spike_mask = 0
        self._edge = 0
        self._n = 0
        self._tick = 0
        self._silent_tick = 0
        self._silent_from = self._grid
        self._before: dict[str, Any] = {}
        self.begin_segment(0)

    def begin_segment(self, at_ns: int) -> None:
        """Start a segment: the next tick is due at `at_ns`, and the cycles of all windows begin anew."""
        self._segment_ns = at_ns
        self._segment_tick = self._tick
        self._move_to_slot(0)

    def end_segment(self, at_ns: int) -> None:
        """End the segment at `at_ns`: ticks that a silence would have suppressed later on are still to come."""
        if self.in_gap:
            reached = self._silent_from.first_at(at_ns - self._segment_ns)
            reached += self._silent_tick if self._is_replay else self._segment_tick
            self._tick = min(self._tick, max(self._silent_tick, reached))

    def take(self, now_ns: int, grace_ns: int, limit: int) -> Span | None:
        """Take the oldest due ticks off the schedule, or return None when none is due.

        Args:
            now_ns: the instant on the scenario clock; never decreasing.
            grace_ns: how late a tick may be fired by design. A tick that is later is overdue: it is not fired when
                the run is over, nor, unless the run has one-shot silences, while a periodic gap lasts.
            limit: upper bound of ticks in a span, at least 1.
        """
        now = now_ns - self._segment_ns
        while True:
            offset = self._offset
            if self.end_ns is not None and self._segment_ns + offset >= self.end_ns:
                self.deadline_ns = self.end_ns
                return None
            if self._silence is not None:
                if now < self._silence.start_ns:
                    self.deadline_ns = self._segment_ns + self._silence.start_ns
                    return None
                self._skip(self._silence)
                continue
            if now < offset:
                self.deadline_ns = self._segment_ns + offset
                return None
            if now - offset > grace_ns:
                if self.end_ns is not None and now_ns >= self.end_ns:
                    self.deadline_ns = self.end_ns
                    return None
                gap = _gap_at(self._gaps, now) if self._drops_overdue else None
                if gap is not None:
                    self._skip(gap)
                    continue
            return self._advance(now, limit)

    def take_ahead(self, limit: int) -> Span | None:
        """Take up to `limit` ticks that are not due yet, or return None when the next one is not to be fired.

        To be called after `take` returned None. What turns out to be overdue by its time is given back.
        """
        if self.in_gap or self._silence is not None:
            return None
        if self.end_ns is not None and self._segment_ns + self._offset >= self.end_ns:
            return None
        self._before = vars(self).copy()
        return self._advance(NEVER_NS, limit)

    def give_back(self, kept: int) -> None:
        """Undo the last `take_ahead` but for its first `kept` ticks."""
        vars(self).update(self._before)
        if kept:
            self._advance(NEVER_NS, kept)

    def _advance(self, now: int, limit: int) -> Span:
        stretch, n = self._stretch, self._n
        count = min(limit, stretch.block_ticks - n % stretch.block_ticks, self._edge - n)
        if count > 1 and stretch.offset(n + count - 1) > now:
            count = 1 if stretch.offset(n + 1) > now else stretch.first_at(now + 1) - n
        stamps_ns = stretch.offsets(n, count, self.anchor_ns + self._segment_ns)
        span = Span(self._tick, stamps_ns, self._spike_mask, self._in_burst)
        self.in_gap = False
        self._tick += count
        self._n = n = n + count
        self._offset = stretch.offset(n)
        if n == self._edge:
            self._judge()
        return span

    def _skip(self, silence: _Quiet) -> None:
        """Enter a silence, and move to the first slot of the base grid at or after its end, or behind its rows."""
        here = self._stretch.exact_offset(self._n)
        if not self.in_gap:
            self._silent_tick = self._tick
            self._silent_from = Stretch(here, self._period) if self._is_replay else self._grid
        self.in_gap = True
        if silence.rows is None:
            self._move_to_slot(self._grid.first_at(silence.end_ns))
        else:
            self._tick += silence.rows
            self._move(Stretch(here + silence.rows * self._period, self._period), 0)

    def _move_to_slot(self, slot: int) -> None:
        self._tick = max(self._tick, self._segment_tick + slot)
        self._move(self._grid, slot)

    def _move(self, stretch: Stretch, n: int) -> None:
        self._stretch = stretch
        self._n = n
        self._in_burst = False
        self._offset = stretch.offset(n)
        self._judge()

    def _judge(self) -> None:
        """Find out what holds at the next tick, and up to which tick it does.

        The first tick at or behind an edge is judged anew by its own offset, so a window that lies between two ticks
        is passed over.
        """
        offset = self._offset
        self._silence = self._silence_at(offset)
        if self._silence is not None:
            return
        edges = [NEVER_NS]
        if self.end_ns is not None:
            edges.append(self.end_ns - self._segment_ns)
        if self._gaps is not None:
            edges.append(offset - offset % self._gaps.every_ns + self._gaps.every_ns - self._gaps.for_ns)
        following = bisect_right(self._silence_ends, self._segment_ns + offset)
        if following < len(self._silences):
            edges.append(self._silences[following].start_ns - self._segment_ns)
        self._spike_mask = 0
        for bit, cycle in enumerate(self._spikes):
            active, edge = _head(cycle, offset)
            self._spike_mask |= active << bit
            edges.append(edge)
        if self._bursts is not None:
            in_burst, edge = _head(self._bursts.cycle, offset)
            edges.append(edge)
            if in_burst is not self._in_burst:
                self._in_burst = in_burst
                period = self._burst_period if in_burst else self._period
                self._stretch = Stretch(self._stretch.exact_offset(self._n), period)
                self._n = 0
        self._edge = self._stretch.first_at(min(edges))
        following = bisect_right(self._silent_row_ends, self._tick)
        if following < len(self._silent_rows):
            self._edge = min(self._edge, self._n + self._silent_rows[following][0] - self._tick)

    def _silence_at(self, offset: int) -> _Quiet | None:
        """Return the silence that the next tick lies in: from where its first window begins to where one ends."""
        following = bisect_right(self._silent_row_ends, self._tick)
        if following < len(self._silent_rows) and self._silent_rows[following][0] <= self._tick:
            _, end, start_ns = self._silent_rows[following]
            begun_ns = self._grid.offset(self._tick) - start_ns
            return _Quiet(offset - begun_ns, offset, end - self._tick)
        window = self._window_at(offset)
        if window is None:
            return None
        start_ns = window.start_ns
        while (earlier := self._window_at(start_ns - 1)) is not None:
            start_ns = earlier.start_ns
        return _Quiet(start_ns, window.end_ns)

    def _window_at(self, offset: int) -> _Quiet | None:
        """Return the one-shot silence or the gap that `offset` lies in, in offsets of the segment."""
        place = self._segment_ns + offset
        following = bisect_right(self._silence_ends, place)
        if following < len(self._silences) and self._silences[following].start_ns <= place:
            silence = self._silences[following]
            return _Quiet(silence.start_ns - self._segment_ns, silence.end_ns - self._segment_ns)
        return _gap_at(self._gaps, offset)


def _period(rate_per_sec: Fraction) -> Fraction:
    return min(max(Fraction(1_000_000_000) / rate_per_sec, _SHORTEST_PERIOD), _LONGEST_PERIOD)


def _head(cycle: Cycle, offset: int) -> tuple[bool, int]:
    """Return whether `offset` lies in the head of its cycle, and the offset at which that changes."""
    place = offset % cycle.every_ns
    active = place < cycle.for_ns
    return active, offset - place + (cycle.for_ns if active else cycle.every_ns)


def _gap_at(gaps: Cycle | None, offset: int) -> _Quiet | None:
    """Return the tail of the cycle when `offset` lies in it."""
    if gaps is None:
        return None
    end_ns = offset - offset % gaps.every_ns + gaps.every_ns
    start_ns = end_ns - gaps.for_ns
    return _Quiet(start_ns, end_ns) if offset >= start_ns else None


def _merged(silences: Iterable[Silence]) -> list[Silence]:
    """Return the silences in ascending order, those that touch or overlap as one."""
    merged: list[Silence] = []
    for silence in sorted(silences, key=lambda silence: silence.start_ns):
        if merged and silence.start_ns <= merged[-1].end_ns:
            previous = merged.pop()
            silence = Silence(start_ns=previous.start_ns, end_ns=max(previous.end_ns, silence.end_ns))
        merged.append(silence)
    return merged
