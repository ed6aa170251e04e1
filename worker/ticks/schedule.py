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

Of an entry that is shared by segments some ticks are fired, and only they are numbered in spans. The windows are judged
by all ticks nevertheless, so a cursor counts all, and stops at the next own one or at the silence before it.

Source: docs/values.md, "Ticks", "Windows", "Labels" and "Segments".
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.own_ticks import OwnTicks, own_ticks
from common.plan import EntryPlan, ReplayColumn, ReplayRows
from worker.long_work import LongWork, never
from worker.ticks.cursor import Cursor, LeftOff, Quiet, StretchOrigin
from worker.ticks.stretch import Stretch, period_ns
from worker.ticks.windows import Windows

NEVER_NS: Final = 1 << 62
"""Later than any instant a run reaches: 146 years."""

_MOST_PLACES: Final = 1 << 62
_GRID: Final = StretchOrigin()


@dataclass(slots=True)
class Span:
    """Due ticks that share everything but number and stamp.

    Attributes:
        first_tick: number of the first tick, of those that are fired.
        stamps_ns: int64[count], ns since the epoch, never decreasing.
        spike_mask: the label spikes active at all of them, bit i for `cardinality_spikes[i]`.
        in_burst: whether they lie in a burst.
        due: how many of them are due.
        begin: the position of the first.
    """

    first_tick: int
    stamps_ns: NDArray[np.int64]
    spike_mask: int
    in_burst: bool
    due: int
    begin: Cursor


class Schedule:
    """The tick engine of one entry.

    Args:
        plan: rate, duration and windows.
        anchor_ns: what scenario clock 0 is in stamps, ns since the epoch.
        interrupted: asked now and then by whatever passes windows one by one, which may be more than anyone can wait
            for; when true, it raises `Interrupted`.

    Attributes:
        anchor_ns: see above.
        end_ns: the scenario-clock instant at which the run is over, or None.
        ticks_per_sec: how many are fired at the base rate.
        start: the position of a run that begins with a segment at scenario clock 0.
    """

    def __init__(self, plan: EntryPlan, anchor_ns: int, interrupted: Callable[[], bool] = never) -> None:
        self.anchor_ns = anchor_ns
        self.end_ns = plan.duration_ns
        self.ticks_per_sec = plan.own_rate
        self._own = own_ticks(plan)
        self._work = LongWork(interrupted)
        self._period = period_ns(Fraction(plan.rate))
        self._burst_period = period_ns(Fraction(plan.rate) * Fraction(plan.bursts.multiplier if plan.bursts else 1))
        self._grid = Stretch(Fraction(0), self._period)
        rows = self._grid if plan.first_rate is None else Stretch(Fraction(0), period_ns(Fraction(plan.first_rate)))
        self._windows = Windows(plan, rows)
        self._is_replay = isinstance(plan.generator, ReplayColumn | ReplayRows)
        self._drops_overdue = not self._is_replay and not plan.gap_windows
        self._newest: tuple[StretchOrigin, Stretch] = _GRID, self._grid
        begin = Cursor(segment_ns=0, segment_tick=0, tick=0, origin=_GRID, place=0, offset_ns=0)
        # A gate begins its segments with the tick that is next of all.
        self.start = self._judged(begin) if plan.gate is not None else self._settled(self._judged(begin))

    def number(self, tick: int) -> int:
        """Return the number, of those that are fired, of the first tick at or behind `tick`."""
        return tick if self._own is None else self._own.number(tick)

    def tick(self, number: int) -> int:
        """Return the tick of a number."""
        return number if self._own is None else self._own.tick(number)

    def begin_segment(self, cursor: Cursor, at_ns: int) -> Cursor:
        """Start a segment: the next tick is due at `at_ns`, and the cycles of all windows start again."""
        return self._settled(self._begun(cursor.tick, at_ns, cursor.left_off))

    def take_over(self, before: "Schedule", cursor: Cursor) -> Cursor:
        """Return the position here of the tick that is next in a schedule that this one replaces.

        The tick is due when it was, and those behind it follow at the rate of this schedule; windows keep their clock.
        """
        if self._period == before._period:
            return self._settled(self._judged(cursor))
        left_off = None if cursor.left_off is None else LeftOff(cursor.tick, _GRID)
        shift_ns = cursor.cycle_shift_ns + cursor.offset_ns
        return self._settled(self._begun(cursor.tick, cursor.segment_ns + cursor.offset_ns, left_off, shift_ns))

    def _begun(self, tick: int, at_ns: int, left_off: LeftOff | None, cycle_shift_ns: int = 0) -> Cursor:
        return self._judged(
            Cursor(
                segment_ns=at_ns,
                segment_tick=tick,
                tick=tick,
                origin=_GRID,
                place=0,
                offset_ns=self._grid.offset(0),
                left_off=left_off,
                began_left_off=left_off,
                cycle_shift_ns=cycle_shift_ns,
            )
        )

    def begin_of_segment(self, cursor: Cursor) -> Cursor:
        """Return the position at which the segment of `cursor` began."""
        return self._begun(cursor.segment_tick, cursor.segment_ns, cursor.began_left_off, cursor.cycle_shift_ns)

    def end_segment(self, cursor: Cursor, at_ns: int) -> Cursor:
        """End the segment at `at_ns`: ticks that a silence would have suppressed later on are still to come."""
        if self._own is not None:
            _, cursor = self._passed(self.begin_of_segment(cursor), at_ns)
        left_off = cursor.left_off
        if left_off is None:
            return cursor
        reached = self._stretch(left_off.origin).first_at(at_ns - cursor.segment_ns)
        reached += left_off.tick if self._is_replay else cursor.segment_tick
        return msgspec.structs.replace(cursor, tick=min(cursor.tick, max(left_off.tick, reached)))

    def seek(self, segment_ns: int, segment_tick: int, tick: int, cycle_shift_ns: int = 0) -> Cursor:
        """Return the position at which `tick` is the next one, in the segment that began with `segment_tick`.

        Args:
            segment_ns: the scenario-clock instant at which the segment began.
            segment_tick: the number of its first tick.
            tick: at least `segment_tick`; one that a silence has suppressed stands for the first one behind it.
            cycle_shift_ns: how long before the segment the cycles of its windows began.
        """
        cursor = self._begun(segment_tick, segment_ns, None, cycle_shift_ns)
        while cursor.tick < tick:
            self._work.step()
            if cursor.quiet is not None:
                cursor = self._behind(cursor.quiet, cursor)
            else:
                cursor = self._pass(cursor, min(tick - cursor.tick, cursor.edge - cursor.place))
        return self._settled(cursor)

    def skip(self, cursor: Cursor, now_ns: int) -> tuple[int, Cursor]:
        """Pass over all ticks before `now_ns` of the scenario clock; return how many there were, and the position."""
        skipped, cursor = self._passed(cursor, now_ns)
        return skipped, self._settled(cursor)

    def _passed(self, cursor: Cursor, now_ns: int) -> tuple[int, Cursor]:
        now, skipped = now_ns - cursor.segment_ns, 0
        while self.end_ns is None or cursor.segment_ns + cursor.offset_ns < self.end_ns:
            self._work.step()
            if cursor.quiet is not None:
                # As `take` does, it enters a silence that has begun, although its next tick may come later.
                if now <= cursor.quiet.start_ns:
                    break
                cursor = self._behind(cursor.quiet, cursor)
                continue
            if cursor.offset_ns >= now:
                break
            due = self._stretch(cursor.origin).first_at(now) - cursor.place
            count = min(due, cursor.edge - cursor.place)
            skipped += self.number(cursor.tick + count) - self.number(cursor.tick)
            cursor = self._pass(cursor, count)
        return skipped, cursor

    def deadline_ns(self, cursor: Cursor) -> int:
        """Return, after `take` returned None, the scenario-clock instant at which to ask again."""
        deadline_ns = cursor.segment_ns + cursor.offset_ns
        if self.end_ns is not None and deadline_ns >= self.end_ns:
            return self.end_ns
        return deadline_ns if cursor.quiet is None else cursor.segment_ns + cursor.quiet.start_ns

    def take(
        self, cursor: Cursor, now_ns: int, grace_ns: int, limit: int, ahead: int = 1
    ) -> tuple[Span | None, Cursor]:
        """Return the oldest due ticks, or None when none is due, and the position behind what is returned.

        Args:
            cursor: the position.
            now_ns: the instant on the scenario clock; never decreasing.
            grace_ns: how late a tick may be fired by design. A tick that is later is overdue: it is not fired when
                the run is over, nor, unless the run has one-shot silences, while a periodic gap lasts.
            limit: upper bound of ticks in a span, at least 1.
            ahead: where fewer ticks than this are due, those that follow are returned with them.
        """
        now = now_ns - cursor.segment_ns
        while True:
            self._work.step()
            offset = cursor.offset_ns
            if self.end_ns is not None and cursor.segment_ns + offset >= self.end_ns:
                return None, cursor
            if cursor.quiet is not None:
                if now < cursor.quiet.start_ns:
                    return None, cursor
                cursor = self._settled(self._behind(cursor.quiet, cursor))
                continue
            if now < offset:
                return None, cursor
            if now - offset > grace_ns:
                if self.end_ns is not None and now_ns >= self.end_ns:
                    return None, cursor
                gap = self._gap_at(cursor, now)
                if gap is not None:
                    cursor = self._settled(self._behind(gap, cursor))
                    continue
            return self._advance(cursor, now, limit, ahead)

    def stamp_before_ns(self, cursor: Cursor) -> int:
        """Return the stamp of the tick before the next one; before a stretch, one interval of the highest rate."""
        stretch, place = self._stretch(cursor.origin), cursor.place
        offset = stretch.offset(place - 1) if place else stretch.offset(0) - int(min(self._period, self._burst_period))
        return self.anchor_ns + cursor.segment_ns + offset

    def newest_stamp_ns(self, cursor: Cursor, until_ns: int) -> int:
        """Return the stamp of the newest tick before an instant, from `cursor` on, whoever fires it."""
        if self.end_ns is not None:
            until_ns = min(until_ns, self.end_ns)
        position, newest = cursor, 0
        while position.segment_ns + position.offset_ns < until_ns:
            if position.quiet is not None:
                position = self._behind(position.quiet, position)
                continue
            stretch = self._stretch(position.origin)
            count = min(stretch.first_at(until_ns - position.segment_ns), position.edge) - position.place
            newest = stretch.offset(position.place + count - 1)
            position = self._pass(position, count)
        return self.anchor_ns + position.segment_ns + newest

    def behind(self, cursor: Cursor, ticks: int) -> Cursor:
        """Return the position behind so many ticks of the span that begins at `cursor`."""
        return self._fired(cursor, ticks)

    def drops_overdue_at(self, cursor: Cursor, now_ns: int) -> bool:
        """Return whether overdue ticks are not fired at `now_ns`, because the run is over or a gap lasts."""
        is_over = self.end_ns is not None and now_ns >= self.end_ns
        return is_over or self._gap_at(cursor, now_ns - cursor.segment_ns) is not None

    def _gap_at(self, cursor: Cursor, now: int) -> Quiet | None:
        if not self._drops_overdue:
            return None
        gap = self._windows.gap_at(now + cursor.cycle_shift_ns)
        return None if gap is None else gap.seen_from(cursor.cycle_shift_ns)

    def take_ahead(self, cursor: Cursor, limit: int) -> tuple[Span, Cursor] | None:
        """Return up to `limit` ticks that are not due yet, and the position behind them; None when none is to be fired.

        To be called after `take` returned None.
        """
        if cursor.in_gap or cursor.quiet is not None or cursor.offset_ns >= NEVER_NS:
            return None
        if self.end_ns is not None and cursor.segment_ns + cursor.offset_ns >= self.end_ns:
            return None
        return self._advance(cursor, NEVER_NS, limit, 1)

    def _advance(self, cursor: Cursor, now: int, limit: int, ahead: int) -> tuple[Span, Cursor]:
        if self._own is not None:
            return self._advance_own(self._own, cursor, now, limit, ahead)
        stretch, place = self._stretch(cursor.origin), cursor.place
        count = due = min(limit, stretch.most_ticks, cursor.edge - place)
        if count > 1 and stretch.offset(place + count - 1) > now:
            due = 1 if stretch.offset(place + 1) > now else stretch.first_at(now + 1) - place
            count = max(due, min(count, ahead))
        stamps_ns = stretch.offsets(place, count, self.anchor_ns + cursor.segment_ns)
        span = Span(cursor.tick, stamps_ns, cursor.spike_mask, cursor.origin.in_burst, due, cursor)
        return span, self._pass(cursor, count)

    def _advance_own(self, own: OwnTicks, cursor: Cursor, now: int, limit: int, ahead: int) -> tuple[Span, Cursor]:
        stretch, number = self._stretch(cursor.origin), own.number(cursor.tick)
        count = due = min(limit, own.number(cursor.tick + cursor.edge - cursor.place) - number)
        places = own.ticks(number, count) - (cursor.tick - cursor.place)
        if count > 1 and stretch.offset(int(places[-1])) > now:
            due = max(int(np.searchsorted(places, stretch.first_at(now + 1))), 1)
            count = max(due, min(count, ahead))
        stamps_ns = stretch.offsets_at(places[:count], self.anchor_ns + cursor.segment_ns)
        span = Span(number, stamps_ns, cursor.spike_mask, cursor.origin.in_burst, due, cursor)
        return span, self._fired(cursor, count)

    def _fired(self, cursor: Cursor, count: int) -> Cursor:
        """Return the position behind `count` ticks that are fired, none of them behind the next edge."""
        if self._own is None:
            return self._pass(cursor, count)
        last = self._own.tick(self._own.number(cursor.tick) + count - 1)
        return self._settled(self._pass(cursor, last + 1 - cursor.tick))

    def _settled(self, cursor: Cursor) -> Cursor:
        """Return the position of the next tick that is fired, or of the silence or the end that comes before it."""
        if self._own is None:
            return cursor
        while cursor.quiet is None and not self._is_over_at(cursor):
            self._work.step()
            ahead = self._own.tick(self._own.number(cursor.tick)) - cursor.tick
            count = min(ahead, cursor.edge - cursor.place)
            if count:
                cursor = msgspec.structs.replace(self._pass(cursor, count), left_off=cursor.left_off)
            if count == ahead:
                break
        return cursor

    def _is_over_at(self, cursor: Cursor) -> bool:
        is_over = self.end_ns is not None and cursor.segment_ns + cursor.offset_ns >= self.end_ns
        return is_over or cursor.offset_ns >= NEVER_NS

    def _pass(self, cursor: Cursor, count: int) -> Cursor:
        """Return the position `count` ticks behind `cursor`, at most at the next edge."""
        place = cursor.place + count
        following = msgspec.structs.replace(
            cursor,
            tick=cursor.tick + count,
            place=place,
            offset_ns=self._stretch(cursor.origin).offset(place),
            left_off=None,
        )
        return self._judged(following) if place == cursor.edge else following

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
        windows, shift_ns = self._windows, cursor.cycle_shift_ns
        offset, cycles_ns = cursor.offset_ns + shift_ns, cursor.segment_ns - shift_ns
        quiet = windows.quiet_at(offset, cycles_ns, cursor.tick)
        if quiet is not None:
            return msgspec.structs.replace(cursor, quiet=quiet.seen_from(shift_ns))
        origin, place = cursor.origin, cursor.place
        in_burst = windows.in_burst(offset)
        if in_burst is not origin.in_burst:
            origin, place = origin.behind(place, in_burst=in_burst), 0
        end_ns = NEVER_NS if self.end_ns is None else self.end_ns - cycles_ns
        if end_ns <= offset:
            # The duration was shortened to what has passed already.
            end_ns = NEVER_NS
        edge_ns = min(NEVER_NS, end_ns, *windows.edges(offset, cycles_ns)) - shift_ns
        edge = min(self._stretch(origin).first_at(edge_ns), _MOST_PLACES)
        rows = windows.rows_before_silence(cursor.tick)
        if rows is not None:
            edge = min(edge, place + rows)
        return msgspec.structs.replace(
            cursor, origin=origin, place=place, edge=edge, spike_mask=windows.spike_mask(offset), quiet=None
        )

    def _stretch(self, origin: StretchOrigin) -> Stretch:
        """Return the stretch that begins at `origin`; PERF: the newest one is kept, cursor after cursor has it."""
        if origin is self._newest[0]:
            return self._newest[1]
        if origin == _GRID:
            return self._grid
        begin = origin.base_ticks * self._period + origin.burst_ticks * self._burst_period
        stretch = Stretch(begin, self._burst_period if origin.in_burst else self._period)
        self._newest = origin, stretch
        return stretch
