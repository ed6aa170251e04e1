"""`spike`: a baseline, raised for the first part of every interval."""

import numpy as np
from numpy.typing import NDArray

from common.mixing import ticks
from common.specs import Spike


class SpikeGenerator:
    """`high` for `duration_ticks` at the beginning of every `interval_ticks`, `low` otherwise; both may be fractions.

    Source: docs/scenarios.md, "Generators".
    """

    def __init__(self, low: float, high: float, duration_ticks: float, interval_ticks: float) -> None:
        self._low = low
        self._high = high
        self._duration_ticks = duration_ticks
        self._interval_ticks = interval_ticks

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]."""
        with np.errstate(all="ignore"):
            place = np.fmod(ticks(first_tick, count).astype(np.float64), self._interval_ticks)
        return np.where(place < self._duration_ticks, self._high, self._low)


def build(spec: Spike, rate: float) -> SpikeGenerator:
    """Return the generator of `spec` at `rate` events per second."""
    return SpikeGenerator(
        spec.baseline, spec.baseline + spec.magnitude, spec.duration_secs * rate, spec.interval_secs * rate
    )
