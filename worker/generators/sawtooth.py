"""`sawtooth`: a ramp from min to max, repeated every period."""

import numpy as np
from numpy.typing import NDArray

from common.mixing import ticks
from common.specs import Sawtooth


class SawtoothGenerator:
    """`min + q * (max - min)` with q the elapsed part of the period, the period in ticks.

    Source: docs/scenarios.md, "Generators".
    """

    def __init__(self, low: float, high: float, period_ticks: float) -> None:
        self._low = low
        self._width = high - low
        self._period_ticks = period_ticks

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]; NaN at every tick when the period is 0."""
        values = ticks(first_tick, count).astype(np.float64)
        with np.errstate(all="ignore"):
            np.fmod(values, self._period_ticks, out=values)
            values /= self._period_ticks
            values *= self._width
            values += self._low
        return values


def build(spec: Sawtooth, rate: float) -> SawtoothGenerator:
    """Return the generator of `spec` at `rate` events per second."""
    return SawtoothGenerator(spec.min, spec.max, spec.period_secs * rate)
