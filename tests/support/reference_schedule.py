"""The tick engine as the documentation words it: one tick at a time, exact fractions, no shortcut. Slow on purpose.

Source: docs/values.md, "Ticks" and "Windows".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from common.plan import Cycle, EntryPlan, ReplayColumn

NS = 1_000_000_000


class NearHalfError(Exception):
    """An offset so close to half a nanosecond that exact and float rounding may differ."""


@dataclass(frozen=True)
class Tick:
    number: int
    offset_ns: int
    spike_mask: int
    in_burst: bool


def rounded(offset: Fraction) -> int:
    distance = abs(offset % 1 - Fraction(1, 2))
    if 0 < distance < Fraction(1, 1000):
        raise NearHalfError
    return floor(offset + Fraction(1, 2))


def in_head(cycle: Cycle, place: int) -> bool:
    return place % cycle.every_ns < cycle.for_ns


def in_gap(cycle: Cycle | None, place: int) -> bool:
    return cycle is not None and place % cycle.every_ns >= cycle.every_ns - cycle.for_ns


class ReferenceSchedule:
    """Steps 1 to 8 for one entry; `fire_due(now)` yields every tick that is fired when woken at `now`."""

    def __init__(self, plan: EntryPlan) -> None:
        self.plan = plan
        self.is_replay = isinstance(plan.generator, ReplayColumn)
        self.period = NS / Fraction(plan.rate)
        self.tick = 0
        self.in_gap = False
        self.over = False
        self.silent_tick = 0
        self.silent_offset = Fraction(0)
        self.begin_segment(0)

    def begin_segment(self, at: int) -> None:
        self.segment = at
        self.segment_tick = self.tick
        self.offset = Fraction(0)

    def end_segment(self, at: int) -> None:
        """A silence is left at the first tick that was not reached; later ones come with the next segment."""
        if not self.in_gap:
            return
        origin, tick = (self.silent_offset, self.silent_tick) if self.is_replay else (Fraction(0), self.segment_tick)
        while tick < self.tick and rounded(origin) < at - self.segment:
            origin += self.period
            tick += 1
        self.tick = min(self.tick, max(tick, self.silent_tick))

    def window_at(self, place: int) -> tuple[int, int] | None:
        """One of the one-shot silences that hold at `place` on the scenario clock."""
        return next(((w.start_ns, w.end_ns) for w in self.plan.gap_windows if w.start_ns <= place < w.end_ns), None)

    def row_place(self, tick: int) -> int:
        return rounded(tick * self.period)

    def silence_at(self, place: int) -> tuple[int, int] | None:
        """The gap or one-shot silence around `place`, an offset of the segment; rows of a replay are left out."""
        gaps = self.plan.gaps
        if in_gap(gaps, place):
            assert gaps is not None
            end = (place // gaps.every_ns + 1) * gaps.every_ns
            return end - gaps.for_ns, end
        window = None if self.is_replay else self.window_at(self.segment + place)
        return window and (window[0] - self.segment, window[1] - self.segment)

    def silence_start(self, place: int) -> int:
        """Where the silence around `place` begins: silences that touch or overlap are one."""
        while (silence := self.silence_at(place)) is not None:
            place = silence[0] - 1
        return place + 1

    def enter_silence(self) -> None:
        if not self.in_gap:
            self.silent_tick, self.silent_offset = self.tick, self.offset
        self.in_gap = True

    def resume(self, end: int) -> None:
        """Go to the first slot of the base grid at or after `end`."""
        self.enter_silence()
        slot = floor(end / self.period)
        while rounded(slot * self.period) >= end and slot > 0:
            slot -= 1
        while rounded(slot * self.period) < end:
            slot += 1
        self.offset = slot * self.period
        self.tick = max(self.tick, self.segment_tick + slot)

    def is_silent(self, now: int) -> bool | None:
        """Whether a silence was passed over; None when the next tick lies in one that has not begun yet."""
        place = rounded(self.offset)
        if self.is_replay and (window := self.window_at(self.row_place(self.tick))) is not None:
            start = window[0]
            while (earlier := self.window_at(start - 1)) is not None:
                start = earlier[0]
            if now < place - (self.row_place(self.tick) - start):
                return None
            self.enter_silence()
            while self.window_at(self.row_place(self.tick)) is not None:
                self.tick += 1
                self.offset += self.period
            return True
        silence = self.silence_at(place)
        if silence is None:
            return False
        if now < self.silence_start(place):
            return None
        self.resume(silence[1])
        return True

    def fire_due(self, at: int, grace: int) -> Iterator[Tick]:
        plan, now = self.plan, at - self.segment
        while not self.over:
            place = rounded(self.offset)
            if plan.duration_ns is not None and self.segment + place >= plan.duration_ns:
                self.over = at >= plan.duration_ns
                return
            silent = self.is_silent(now)
            if silent is None:
                return
            if silent:
                continue
            if now < place:
                return
            if now - place > grace:
                if plan.duration_ns is not None and at >= plan.duration_ns:
                    self.over = True
                    return
                if not self.is_replay and not plan.gap_windows and (silence := self.silence_at(now)) is not None:
                    self.resume(silence[1])
                    continue
            in_burst = plan.bursts is not None and in_head(plan.bursts.cycle, place)
            mask = sum(in_head(spike.cycle, place) << i for i, spike in enumerate(plan.cardinality_spikes))
            self.in_gap = False
            yield Tick(self.tick, self.segment + place, mask, in_burst)
            self.tick += 1
            self.offset += self.period / Fraction(plan.bursts.multiplier if in_burst and plan.bursts else 1)
