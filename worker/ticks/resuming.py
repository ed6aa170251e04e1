"""Where a run that was interrupted goes on: its position then, and the ticks that it has missed since.

A generator that counts has to see every tick of the run, so the ticks between are drawn for it, and not written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.checkpoints import ObservedTotals, Resume
from common.counters import Counters
from worker.digest import Digest
from worker.generators import Generator, Observer
from worker.ticks.batch import Batch
from worker.ticks.cursor import Cursor
from worker.ticks.schedule import NEVER_NS, Schedule, Span


@dataclass(frozen=True, slots=True)
class Missed:
    """Ticks that were passed over.

    Attributes:
        from_ns: the stamp of the first of them, ns since the epoch.
        until_ns: the stamp of the next tick behind them.
        ticks: how many they are.
    """

    from_ns: int
    until_ns: int
    ticks: int

    def note(self, counters: Counters) -> None:
        """Show them as the newest hole."""
        counters.hole_from_ns, counters.hole_until_ns, counters.hole_ticks = self.from_ns, self.until_ns, self.ticks


class Resuming:
    """The schedule and the generator of a run that goes on.

    Args:
        schedule: the run's.
        generator: the run's; nothing was asked of it yet.
        most_ticks: how many ticks may be drawn at a time.
        digest: what sums up the events, if anything does.
    """

    def __init__(self, schedule: Schedule, generator: Generator, most_ticks: int, digest: Digest | None = None) -> None:
        self._digest = digest
        self._schedule = schedule
        self._generator = generator
        self._most_ticks = most_ticks

    def take_up(
        self,
        resume: Resume,
        counters: Counters,
        backfill_ns: int,
        now: Callable[[], int],
        *,
        is_live: bool,
    ) -> tuple[Cursor, bool, Missed | None]:
        """Return where the run goes on, whether it makes up for what it has missed, and what it passes over.

        Args:
            resume: how it is to go on.
            counters: as they were; they show what is passed over.
            backfill_ns: how long its history is, which is made up for in any case.
            now: returns the instant on the scenario clock.
            is_live: whether it would have emitted meanwhile.

        Raises:
            Interrupted: a stop was asked while values were drawn.
        """
        cursor = self.position(counters, None if resume.checkpoint is None else resume.checkpoint.totals)
        self.take_back(resume, counters, cursor)
        if resume.fills or cursor.segment_ns + cursor.offset_ns < backfill_ns:
            return cursor, True, None
        missed = None
        if is_live:
            missed, cursor = self.pass_over(cursor, now())
        if missed is not None:
            missed.note(counters)
        return cursor, False, missed

    def position(self, counters: Counters, totals: ObservedTotals | None) -> Cursor:
        """Return where the run was.

        Args:
            counters: as they were then.
            totals: what its generator had counted, if it counts.

        Raises:
            Interrupted: a stop was asked while values were drawn.
        """
        segment_tick, next_tick = counters.segment_tick, counters.next_tick
        if not isinstance(self._generator, Observer):
            return self._seek(counters, self._schedule.tick(next_tick))
        seen_tick = segment_tick
        if totals is not None and totals.tick <= next_tick:
            self._generator.totals = list(totals.values)
            seen_tick = max(segment_tick, totals.tick)
        _, cursor = self._draw(self._seek(counters, seen_tick), NEVER_NS, next_tick)
        return cursor

    def spans_before(self, counters: Counters) -> Iterator[Span]:
        """Yield what was taken in the segment that the run was in."""
        cursor = self._seek(counters, counters.segment_tick)
        while (number := self._schedule.number(cursor.tick)) < counters.next_tick:
            span, cursor = self._schedule.take(cursor, NEVER_NS, NEVER_NS, counters.next_tick - number)
            if span is None:
                return
            yield span

    def take_back(self, resume: Resume, counters: Counters, cursor: Cursor) -> None:
        """Take out of the digest what only waited for a request, and is made again or missed."""
        if self._digest is not None:
            self._digest.take_back(counters, self._batches(cursor, resume.waiting_events))

    def _batches(self, cursor: Cursor, events: int) -> Iterator[Batch]:
        """Yield the next events from a position, without the generator noticing."""
        totals = list(self._generator.totals) if isinstance(self._generator, Observer) else None
        while events:
            limit = min(self._most_ticks, events)
            span, cursor = self._schedule.take(cursor, NEVER_NS, NEVER_NS, limit)
            if span is None:
                break
            values = self._generator.values(span.first_tick, len(span.stamps_ns))
            yield Batch(span.first_tick, values, span.stamps_ns, span.spike_mask)
            events -= len(values)
        if totals is not None and isinstance(self._generator, Observer):
            self._generator.totals = totals

    def pass_over(self, cursor: Cursor, now_ns: int) -> tuple[Missed | None, Cursor]:
        """Pass over the ticks before `now_ns` of the scenario clock; return what they are, and the position behind.

        Raises:
            Interrupted: a stop was asked while values were drawn.
        """
        if isinstance(self._generator, Observer):
            ticks, behind = self._draw(cursor, now_ns - 1, None)
        else:
            ticks, behind = self._schedule.skip(cursor, now_ns)
        if not ticks:
            return None, behind
        return Missed(self._stamp_ns(cursor), self._stamp_ns(behind), ticks), behind

    def _seek(self, counters: Counters, tick: int) -> Cursor:
        """Return the position of a tick in the segment that the run was in."""
        return self._schedule.seek(counters.segment_ns, counters.segment_tick, tick, counters.cycle_shift_ns)

    def _draw(self, cursor: Cursor, now_ns: int, next_tick: int | None) -> tuple[int, Cursor]:
        """Draw what is due at `now_ns`, up to `next_tick`; return how many ticks that are, and the position behind."""
        ticks = 0
        while next_tick is None or cursor.tick < next_tick:
            limit = self._most_ticks if next_tick is None else min(self._most_ticks, next_tick - cursor.tick)
            span, cursor = self._schedule.take(cursor, now_ns, NEVER_NS, limit)
            if span is None:
                break
            self._generator.values(span.first_tick, len(span.stamps_ns))
            ticks += len(span.stamps_ns)
        return ticks, cursor

    def _stamp_ns(self, cursor: Cursor) -> int:
        return self._schedule.anchor_ns + cursor.segment_ns + cursor.offset_ns
