"""`sine`: a sine wave around an offset."""

import math

import numpy as np
from numpy.typing import NDArray

from common.mixing import ticks
from common.specs import Sine
from worker.generators.libm import sin


class SineGenerator:
    """`offset + amplitude * sin(2*pi*t / period)`, the period in ticks.

    Not one table of a period: the argument is rounded, so no two periods have the same bits.
    Source: docs/scenarios.md, "Generators".
    """

    def __init__(self, amplitude: float, period_ticks: float, offset: float) -> None:
        self._amplitude = amplitude
        self._period_ticks = period_ticks
        self._offset = offset

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]; NaN at every tick when the period is 0."""
        angles = ticks(first_tick, count).astype(np.float64)
        with np.errstate(all="ignore"):
            angles *= 2.0 * math.pi
            angles /= self._period_ticks
            values = sin(angles)
            values *= self._amplitude
            values += self._offset
        return values


def build(spec: Sine, rate: float) -> SineGenerator:
    """Return the generator of `spec` at `rate` events per second."""
    return SineGenerator(spec.amplitude, spec.period_secs * rate, spec.offset)
