"""`uniform`: evenly distributed values, a hash of seed and tick."""

import numpy as np
from numpy.typing import NDArray

from common.mixing import mix, unit_closed
from common.plan import ValueOrigin
from common.specs import Uniform
from worker.generators.tick_generator import TickGenerator


class UniformGenerator(TickGenerator):
    """`min + unit * (max - min)`, both bounds reachable. Source: docs/values.md, "Draws"."""

    def __init__(self, low: float, high: float, seed: int) -> None:
        self._low = low
        self._width = high - low
        self._seed = np.uint64(seed)

    def at(self, ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return float64[n]; infinite or NaN where `max - min` overflows."""
        values = unit_closed(mix(ticks ^ self._seed))
        with np.errstate(all="ignore"):
            values *= self._width
            values += self._low
        return values


def build(spec: Uniform, _rate: float, _origin: ValueOrigin) -> UniformGenerator:
    """Return the generator of `spec`; nothing else plays a part."""
    return UniformGenerator(spec.min, spec.max, spec.seed)
