"""`sawtooth`: a ramp from min to max, repeated every period."""

import numpy as np
from numpy.typing import NDArray

from common.plan import ValueOrigin
from common.specs import Sawtooth
from worker.generators.places import GeneratorChange, places, same_angle
from worker.generators.tick_generator import TickGenerator


class SawtoothGenerator(TickGenerator):
    """`min + q * (max - min)` with q the elapsed part of the period, the period in ticks.

    Source: docs/scenarios.md, "Generators".
    """

    def __init__(self, low: float, high: float, period_ticks: float, origin: ValueOrigin) -> None:
        self._low = low
        self._width = high - low
        self._period_ticks = period_ticks
        self._origin = origin

    def at(self, ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return float64[n]; NaN at every tick when the period is 0."""
        values = places(self._origin, ticks)
        with np.errstate(all="ignore"):
            np.fmod(values, self._period_ticks, out=values)
            values /= self._period_ticks
            values *= self._width
            values += self._low
        return values


def build(spec: Sawtooth, rate: float, origin: ValueOrigin) -> SawtoothGenerator:
    """Return the generator of `spec` at `rate` events per second, `origin.place` ticks after a ramp has begun."""
    return SawtoothGenerator(spec.min, spec.max, spec.period_secs * rate, origin)


def go_on(change: GeneratorChange[Sawtooth]) -> ValueOrigin:
    """Return where a ramp goes on: with the same part of it passed."""
    before, after = change.before.period_secs * change.before_rate, change.after.period_secs * change.after_rate
    return change.origin if before == after else change.at(same_angle(change.place, before, after))
