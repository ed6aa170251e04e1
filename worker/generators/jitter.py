"""Jitter: noise added to the values of any metric generator, a hash of its own seed and the tick."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.mixing import mix, ticks, unit_closed

if TYPE_CHECKING:
    from worker.generators import Generator

_STREAM = 0xA0761D6478BD642F
"""Keeps the noise apart from a `uniform` generator of the same seed."""


class JitteredGenerator:
    """The values of `inner` plus noise within ±`amplitude`, which is not 0.

    Source: docs/values.md, "Draws".
    """

    def __init__(self, inner: "Generator", amplitude: float, seed: int) -> None:
        self._inner = inner
        self._amplitude = amplitude
        self._seed = np.uint64(seed ^ _STREAM)

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]."""
        noise = unit_closed(mix(ticks(first_tick, count) ^ self._seed))
        with np.errstate(all="ignore"):
            noise *= 2.0
            noise *= self._amplitude
            noise -= self._amplitude
            noise += self._inner.values(first_tick, count)
        return noise
