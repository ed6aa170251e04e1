"""`flap`: up for some ticks, down for some ticks, in turn."""

import numpy as np
from numpy.typing import NDArray

from common.mixing import ticks
from common.specs import Flap


class FlapGenerator:
    """`up` for the first `up_ticks` of every `up_ticks + down_ticks`, `down` for the rest.

    Source: docs/scenarios.md, "Generators".
    """

    def __init__(self, up: float, down: float, up_ticks: int, down_ticks: int) -> None:
        self._up = up
        self._down = down
        self._up_ticks = np.uint64(up_ticks)
        self._cycle_ticks = np.uint64(up_ticks + down_ticks)

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]."""
        place = ticks(first_tick, count) % self._cycle_ticks
        return np.where(place < self._up_ticks, self._up, self._down)


def build(spec: Flap, rate: float) -> FlapGenerator:
    """Return the generator of `spec` at `rate` events per second."""
    return FlapGenerator(*spec.levels, *spec.ticks(rate))
