"""Jitter: noise added to the values of any metric generator, a hash of its own seed and the tick."""

import numpy as np
from numpy.typing import NDArray

from common.mixing import mix, ticks, unit_closed
from worker.generators.tick_generator import TickGenerator

_STREAM = 0xA0761D6478BD642F
"""Keeps the noise apart from a `uniform` generator of the same seed."""


class JitteredGenerator(TickGenerator):
    """The values of `inner` plus noise within ±`amplitude`, which is not 0.

    Source: docs/values.md, "Draws".
    """

    def __init__(self, inner: TickGenerator, amplitude: float, seed: int) -> None:
        self._inner = inner
        self._amplitude = amplitude
        self._seed = np.uint64(seed ^ _STREAM)

    def at(self, ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return float64[n]."""
        return self._noisy(ticks, self._inner.at(ticks))

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]."""
        return self._noisy(ticks(first_tick, count), self._inner.values(first_tick, count))

    def _noisy(self, ticks: NDArray[np.uint64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        noise = unit_closed(mix(ticks ^ self._seed))
        with np.errstate(all="ignore"):
            noise *= 2.0
            noise *= self._amplitude
            noise -= self._amplitude
            noise += values
        return noise
