"""Summary: quantiles of the observations of each tick, with their sum and count over the whole run.

Source: docs/values.md, "Observations".
"""

import math
from collections.abc import Sequence

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
        self._counted = 0.0
        self._sum = 0.0

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count, quantiles + 2]: the quantiles, the sum, the count."""
        quantiles = len(self._places)
        values = np.empty((count, quantiles + 2))
        tick: list[NDArray[np.float64]] = []
        with np.errstate(all="ignore"):
            for start, stop, draws in self._observations.slices(first_tick, count):
                tick.append(draws.T.copy())
                draws[0, 0] += self._sum
                sums = np.add.accumulate(draws.T.ravel())[len(draws) - 1 :: len(draws)]
                values[start:stop, quantiles] = sums
                self._sum = sums[-1]
                if sum(part.shape[1] for part in tick) == self._per_tick:
                    ascending = np.sort(np.concatenate(tick, axis=1), axis=1)
                    values[start:stop, :quantiles] = ascending[:, self._places]
                    tick.clear()
        values[:, quantiles + 1] = self._counted + np.arange(1, count + 1) * float(self._per_tick)
        self._counted += count * float(self._per_tick)
        return values

    @property
    def counted(self) -> NDArray[np.float64]:
        """The row of the newest tick, its quantiles zeros."""
        return np.array([*(0.0 for _ in self._places), self._sum, self._counted])

    @property
    def totals(self) -> list[float]:
        """What was counted until now: observed ticks, the sum and the count."""
        return [self._observations.observed_ticks, float(self._sum), self._counted]

    @totals.setter
    def totals(self, totals: Sequence[float]) -> None:
        observed, self._sum, *counted = totals
        self._observations.observed_ticks = int(observed)
        # An earlier version did not keep the count.
        self._counted = counted[0] if counted else observed * float(self._per_tick)


def build(spec: Summary, observations: Observations) -> SummaryGenerator:
    """Return the generator of `spec` over its observations."""
    return SummaryGenerator(spec.quantiles, spec.observations_per_tick, observations)
