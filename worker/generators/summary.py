"""Summary: quantiles of the observations of each tick, with their sum and count over the whole run.

Source: docs/values.md, "Observations".
"""

import math

import numpy as np
from numpy.typing import NDArray

from common.plan import Summary
from worker.generators.observations import Observations


class SummaryGenerator:
    """Nearest-rank quantiles. Ticks must be asked for in order, each once.

    Args:
        quantiles: each in (0, 1), ascending.
        per_tick: observations per tick; one tick's are in memory at a time, 8 bytes each.
        observations: what is summed up.
    """

    def __init__(self, quantiles: tuple[float, ...], per_tick: int, observations: Observations) -> None:
        self._per_tick = per_tick
        self._places = [min(max(math.ceil(q * float(per_tick)) - 1, 0), per_tick - 1) for q in quantiles]
        self._observations = observations
        self._ticks = 0
        self._sum = 0.0

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count, quantiles + 2]: the quantiles, the sum, the count."""
        quantiles = len(self._places)
        values = np.empty((count, quantiles + 2))
        tick: list[NDArray[np.float64]] = []
        with np.errstate(all="ignore"):
            for start, stop, draws in self._observations.slices(first_tick, count):
                tick.append(draws.copy())
                draws[0, 0] += self._sum
                sums = np.add.accumulate(draws.ravel()).reshape(draws.shape)[:, -1]
                values[start:stop, quantiles] = sums
                self._sum = sums[-1]
                if sum(part.shape[1] for part in tick) == self._per_tick:
                    ascending = np.sort(np.concatenate(tick, axis=1), axis=1)
                    values[start:stop, :quantiles] = ascending[:, self._places]
                    tick.clear()
        values[:, quantiles + 1] = np.arange(self._ticks + 1, self._ticks + count + 1) * float(self._per_tick)
        self._ticks += count
        return values


def build(spec: Summary, observations: Observations) -> SummaryGenerator:
    """Return the generator of `spec` over its observations."""
    return SummaryGenerator(spec.quantiles, spec.observations_per_tick, observations)
