"""What an entry that is changed while it runs has to emit, tick by tick, as docs/values.md says it."""

import math
from fractions import Fraction

from common.plan import EntryPlan
from common.specs import Constant, Flap, Sawtooth, Sequence, Sine, Spike, Step, Uniform
from tests.support.reference_schedule import NS, rounded

MASK = 2**64 - 1


class TunedReference:
    """One entry, without windows; `change` begins another plan at a tick."""

    def __init__(self, plan: EntryPlan) -> None:
        self.plan = plan
        self.due_tick, self.due = 0, 0
        self.place_tick, self.place = 0, 0.0

    def due_ns(self, tick: int) -> int:
        """Return when a tick is due, ns of the scenario clock."""
        return rounded(self.due + (tick - self.due_tick) * NS / Fraction(self.plan.rate))

    def change(self, tick: int, plan: EntryPlan) -> None:
        place = self._place_in(plan, tick)
        if place is not None:
            self.place_tick, self.place = tick, place
        if plan.rate != self.plan.rate:
            self.due_tick, self.due = tick, self.due_ns(tick)
        self.plan = plan

    def value(self, tick: int) -> float:
        """Return the value of a tick."""
        place, rate = self._ticks(tick), self.plan.rate
        match self.plan.generator:
            case Constant(value=value):
                return value
            case Uniform() as one:
                return (mix(tick ^ one.seed) / 2.0**64) * (one.max - one.min) + one.min
            case Sine() as one:
                return math.sin(place * (2.0 * math.pi) / (one.period_secs * rate)) * one.amplitude + one.offset
            case Sawtooth() as one:
                period = one.period_secs * rate
                return math.fmod(place, period) / period * (one.max - one.min) + one.min
            case Spike() as one:
                is_high = math.fmod(place, one.interval_secs * rate) < one.duration_secs * rate
                return one.baseline + one.magnitude if is_high else one.baseline
            case Flap() as one:
                up, down = one.ticks(rate)
                return one.levels[0] if place % (up + down) < up else one.levels[1]
            case Sequence() as one:
                return one.values[_index(one, place)]
            case Step() as one:
                return self._counted(one, tick) + one.start
        raise AssertionError(self.plan.generator)

    def _ticks(self, tick: int) -> float:
        return float(tick - self.place_tick) + self.place

    def _place_in(self, plan: EntryPlan, tick: int) -> float | None:
        """Return the place from which the values of `plan` go on; None where they are those of before."""
        place, rate, new_rate = self._ticks(tick), self.plan.rate, plan.rate
        match self.plan.generator, plan.generator:
            case (Sine() | Sawtooth() as before, Sine() | Sawtooth() as after):
                period, new = before.period_secs * rate, after.period_secs * new_rate
                return None if period == new else math.fmod(place, period) / period * new
            case Spike() as before, Spike() as after:
                cycle = before.duration_secs * rate, before.interval_secs * rate
                new_cycle = after.duration_secs * new_rate, after.interval_secs * new_rate
                return None if cycle == new_cycle else _same_part(math.fmod(place, cycle[1]), cycle, new_cycle)
            case Flap() as before, Flap() as after:
                (up, down), (new_up, new_down) = before.ticks(rate), after.ticks(new_rate)
                if (up, down) == (new_up, new_down):
                    return None
                return math.floor(_same_part(place % (up + down), (up, up + down), (new_up, new_up + new_down)))
            case Sequence() as before, Sequence() as after:
                return None if before == after else _index(before, place)
            case Step() as before, Step() as after if before != after:
                counted = self._counted(before, tick)
                above = counted if before.start == after.start else counted + before.start - after.start
                wraps = after.max is not None and after.max > after.start
                return 0.0 if wraps and not 0 <= above < (after.max or 0.0) - after.start else above
        return None

    def _counted(self, step: Step, tick: int) -> float:
        counted = float(tick - self.place_tick) * step.step_size + self.place
        if step.max is None or step.max <= step.start:
            return counted
        counted = math.fmod(counted, step.max - step.start)
        return counted + (step.max - step.start) if step.step_size < 0 and counted < 0 else counted


def _index(sequence: Sequence, place: float) -> int:
    length = len(sequence.values)
    return int(place) % length if sequence.repeat else min(int(place), length - 1)


def _same_part(place: float, before: tuple[float, float], after: tuple[float, float]) -> float:
    if place < before[0]:
        return place / before[0] * after[0]
    return after[0] + (place - before[0]) / (before[1] - before[0]) * max(after[1] - after[0], 0.0)


def mix(number: int) -> int:
    """SplitMix64."""
    mixed = (number + 0x9E3779B97F4A7C15) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return mixed ^ (mixed >> 31)
