"""Which silences, bursts and label spikes hold at an offset, and where that may change. Pure.

Offsets count from where the cycles of periodic windows began, whole nanoseconds; that is with a segment, or before it
where the rate was changed since. One-shot silences lie on the scenario clock. Those of a replay belong to its rows:
they are judged by the tick number, whatever pauses and bursts came before.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from common.plan import Cycle, EntryPlan, ReplayColumn, ReplayRows, Silence
from worker.ticks.cursor import Quiet
from worker.ticks.stretch import Stretch


class Windows:
    """All windows of one entry.

    Args:
        plan: the entry.
        grid: the rows of its recording, at the rate that they were recorded with.
    """

    def __init__(self, plan: EntryPlan, grid: Stretch) -> None:
        self._grid = grid
        self._pace = plan.launch_rate / plan.rate
        self._gaps = plan.gaps
        self._bursts = None if plan.bursts is None else plan.bursts.cycle
        self._spikes = [spike.cycle for spike in plan.cardinality_spikes]
        silences = _merged(plan.gap_windows)
        belong_to_rows = isinstance(plan.generator, ReplayColumn | ReplayRows)
        rows = [(grid.first_at(one.start_ns), grid.first_at(one.end_ns), one.start_ns) for one in silences]
        self._silent_rows = [row for row in rows if row[0] < row[1]] if belong_to_rows else []
        self._silent_row_ends = [end for _, end, _ in self._silent_rows]
        self._silences = [] if belong_to_rows else silences
        self._silence_ends = [silence.end_ns for silence in self._silences]

    def gap_at(self, offset: int) -> Quiet | None:
        """Return the periodic gap, the tail of its cycle, that `offset` lies in."""
        if self._gaps is None:
            return None
        end_ns = offset - offset % self._gaps.every_ns + self._gaps.every_ns
        start_ns = end_ns - self._gaps.for_ns
        return Quiet(start_ns, end_ns) if offset >= start_ns else None

    def quiet_at(self, offset: int, cycles_ns: int, tick: int) -> Quiet | None:
        """Return the silence that `tick` at `offset` lies in: all windows that touch each other are one."""
        rows = self._silent_rows_from(tick)
        if rows is not None and rows[0] <= tick:
            _, end, start_ns = rows
            begun_ns = round((self._grid.offset(tick) - start_ns) * self._pace)
            return Quiet(offset - begun_ns, offset, end - tick)
        window = self._window_at(offset, cycles_ns)
        if window is None:
            return None
        start_ns, end_ns = window.start_ns, window.end_ns
        while (earlier := self._window_at(start_ns - 1, cycles_ns)) is not None:
            start_ns = earlier.start_ns
        while (later := self._window_at(end_ns, cycles_ns)) is not None:
            end_ns = later.end_ns
        return Quiet(start_ns, end_ns)

    def in_burst(self, offset: int) -> bool:
        """Return whether `offset` lies in a burst."""
        return self._bursts is not None and _in_head(self._bursts, offset)

    def spike_mask(self, offset: int) -> int:
        """Return the label spikes active at `offset`, one bit each."""
        mask = 0
        for bit, cycle in enumerate(self._spikes):
            mask |= _in_head(cycle, offset) << bit
        return mask

    def edges(self, offset: int, cycles_ns: int) -> Iterator[int]:
        """Yield the offsets behind `offset` at which each kind of window next begins or ends."""
        if self._gaps is not None:
            yield offset - offset % self._gaps.every_ns + self._gaps.every_ns - self._gaps.for_ns
        following = bisect_right(self._silence_ends, cycles_ns + offset)
        if following < len(self._silences):
            yield self._silences[following].start_ns - cycles_ns
        for cycle in self._spikes:
            yield _next_edge(cycle, offset)
        if self._bursts is not None:
            yield _next_edge(self._bursts, offset)

    def rows_before_silence(self, tick: int) -> int | None:
        """Return how many rows of a replay from `tick` on come before the next silent one; None without any."""
        rows = self._silent_rows_from(tick)
        return None if rows is None else rows[0] - tick

    def _silent_rows_from(self, tick: int) -> tuple[int, int, int] | None:
        """Return first row, end and instant of the silence that `tick` lies in, or else of the next one."""
        following = bisect_right(self._silent_row_ends, tick)
        return self._silent_rows[following] if following < len(self._silent_rows) else None

    def _window_at(self, offset: int, cycles_ns: int) -> Quiet | None:
        """Return the one-shot silence or the gap that `offset` lies in."""
        place = cycles_ns + offset
        following = bisect_right(self._silence_ends, place)
        if following < len(self._silences) and self._silences[following].start_ns <= place:
            silence = self._silences[following]
            return Quiet(silence.start_ns - cycles_ns, silence.end_ns - cycles_ns)
        return self.gap_at(offset)


def _in_head(cycle: Cycle, offset: int) -> bool:
    return offset % cycle.every_ns < cycle.for_ns


def _next_edge(cycle: Cycle, offset: int) -> int:
    """Return the next offset at which the first part of the cycle ends or begins."""
    place = offset % cycle.every_ns
    return offset - place + (cycle.for_ns if place < cycle.for_ns else cycle.every_ns)


def _merged(silences: Iterable[Silence]) -> list[Silence]:
    """Return the silences in ascending order, those that touch or overlap as one."""
    merged: list[Silence] = []
    for silence in sorted(silences, key=lambda silence: silence.start_ns):
        if merged and silence.start_ns <= merged[-1].end_ns:
            previous = merged.pop()
            silence = Silence(start_ns=previous.start_ns, end_ns=max(previous.end_ns, silence.end_ns))
        merged.append(silence)
    return merged
