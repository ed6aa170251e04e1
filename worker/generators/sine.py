"""`sine`: a sine wave around an offset."""

import math

import numpy as np
from numpy.typing import NDArray

from common.plan import ValueOrigin
from common.specs import Sine
from worker.generators.libm import sin
from worker.generators.places import GeneratorChange, places, same_angle
from worker.generators.tick_generator import TickGenerator


class SineGenerator(TickGenerator):
    """`offset + amplitude * sin(2*pi*t / period)`, the period in ticks.

    Not one table of a period: the argument is rounded, so no two periods have the same bits.
    Source: docs/scenarios.md, "Generators".
    """

    def __init__(self, amplitude: float, period_ticks: float, offset: float, origin: ValueOrigin) -> None:
        self._amplitude = amplitude
        self._period_ticks = period_ticks
        self._offset = offset
        self._origin = origin

    def at(self, ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return float64[n]; NaN at every tick when the period is 0."""
        angles = places(self._origin, ticks)
        with np.errstate(all="ignore"):
            angles *= 2.0 * math.pi
            angles /= self._period_ticks
            values = sin(angles)
            values *= self._amplitude
            values += self._offset
        return values


def build(spec: Sine, rate: float, origin: ValueOrigin) -> SineGenerator:
    """Return the generator of `spec` at `rate` events per second, `origin.place` ticks after a wave has begun."""
    return SineGenerator(spec.amplitude, spec.period_secs * rate, spec.offset, origin)


def go_on(change: GeneratorChange[Sine]) -> ValueOrigin:
    """Return where a wave goes on: at the same angle."""
    before, after = change.before.period_secs * change.before_rate, change.after.period_secs * change.after_rate
    return change.origin if before == after else change.at(same_angle(change.place, before, after))
