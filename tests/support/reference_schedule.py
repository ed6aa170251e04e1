"""The tick engine as the contract words it: one tick at a time, exact fractions, no shortcut. Slow on purpose.

Source: scheduling contract, sections 3.1 and 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from common.plan import Cycle, EntryPlan

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
    """Steps 1 to 8 for one ungated entry; `fire_due(now)` yields every tick that is fired when woken at `now`."""

    def __init__(self, plan: EntryPlan) -> None:
        self.plan = plan
        self.rate = Fraction(plan.rate)
        self.offset = Fraction(0)
        self.tick = 0
        self.in_gap = False
        self.over = False

    def silence_end(self, place: int) -> int | None:
        """The end of the silence that `place` lies in, found window by window."""
        if in_gap(self.plan.gaps, place):
            assert self.plan.gaps
            return (place // self.plan.gaps.every_ns + 1) * self.plan.gaps.every_ns
        return next((w.end_ns for w in self.plan.gap_windows if w.start_ns <= place < w.end_ns), None)

    def silence_start(self, place: int) -> int:
        """Where the silence around `place` begins: silences that touch or overlap are one."""
        while self.silence_end(place) is not None:
            starts = [w.start_ns for w in self.plan.gap_windows if w.start_ns <= place < w.end_ns]
            gaps = self.plan.gaps
            if gaps is not None and in_gap(gaps, place):
                starts.append((place // gaps.every_ns + 1) * gaps.every_ns - gaps.for_ns)
            place = min(starts) - 1
        return place + 1

    def resume(self, end: int) -> None:
        slot = floor(Fraction(end) * self.rate / NS)
        while rounded(slot * NS / self.rate) >= end and slot > 0:
            slot -= 1
        while rounded(slot * NS / self.rate) < end:
            slot += 1
        self.offset = slot * NS / self.rate
        self.tick = max(self.tick, slot)

    def fire_due(self, now: int, grace: int) -> Iterator[Tick]:
        plan = self.plan
        while not self.over:
            place = rounded(self.offset)
            if plan.duration_ns is not None and place >= plan.duration_ns:
                self.over = now >= plan.duration_ns
                return
            end = self.silence_end(place)
            if end is not None:
                if now < self.silence_start(place):
                    return
                self.in_gap = True
                self.resume(end)
                continue
            if now < place:
                return
            if now - place > grace:
                if plan.duration_ns is not None and now >= plan.duration_ns:
                    self.over = True
                    return
                if not plan.gap_windows and in_gap(plan.gaps, now):
                    self.in_gap = True
                    end = self.silence_end(now)
                    assert end
                    self.resume(end)
                    continue
            in_burst = plan.bursts is not None and in_head(plan.bursts.cycle, place)
            mask = sum(in_head(spike.cycle, place) << i for i, spike in enumerate(plan.cardinality_spikes))
            self.in_gap = False
            yield Tick(self.tick, place, mask, in_burst)
            self.tick += 1
            self.offset += NS / (self.rate * Fraction(plan.bursts.multiplier if in_burst and plan.bursts else 1))
