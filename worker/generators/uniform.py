"""`uniform`: evenly distributed values, a hash of seed and tick."""

import numpy as np
from numpy.typing import NDArray

from common.mixing import mix, ticks, unit_closed
from common.specs import Uniform


class UniformGenerator:
    """`min + unit * (max - min)`, both bounds reachable. Source: docs/values.md, "Draws"."""

    def __init__(self, low: float, high: float, seed: int) -> None:
        self._low = low
        self._width = high - low
        self._seed = np.uint64(seed)

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]; infinite or NaN where `max - min` overflows."""
        values = unit_closed(mix(ticks(first_tick, count) ^ self._seed))
        with np.errstate(all="ignore"):
            values *= self._width
            values += self._low
        return values


def build(spec: Uniform, _rate: float) -> UniformGenerator:
    """Return the generator of `spec`; the rate plays no part."""
    return UniformGenerator(spec.min, spec.max, spec.seed)
