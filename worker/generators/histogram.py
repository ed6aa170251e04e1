"""Histogram: how many observations lie at or below each bound, with their sum and count, over the whole run.

Source: docs/values.md, "Observations".
"""

import numpy as np
from numpy.typing import NDArray

from common.plan import Histogram
from worker.generators.observations import Observations


class HistogramGenerator:
    """Counters that never fall. Ticks must be asked for in order, each once.

    Args:
        buckets: upper bounds, ascending.
        observations: what is counted.
    """

    def __init__(self, buckets: tuple[float, ...], observations: Observations) -> None:
        self._bounds = np.array(buckets)
        self._observations = observations
        self._counts = np.zeros(len(buckets) + 1)
        self._sum = 0.0

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count, bounds + 3]: a counter for each bound, for infinity, the sum, the count."""
        bins = len(self._bounds) + 1
        added = np.zeros((count, bins))
        values = np.empty((count, bins + 2))
        with np.errstate(all="ignore"):
            for start, stop, draws in self._observations.slices(first_tick, count):
                rows, places = draws.shape
                bin_numbers = np.searchsorted(self._bounds, draws.ravel()) + np.repeat(np.arange(rows) * bins, places)
                added[start:stop] += np.bincount(bin_numbers, minlength=rows * bins).reshape(rows, bins)
                draws[0, 0] += self._sum
                sums = np.add.accumulate(draws.ravel()).reshape(rows, places)[:, -1]
                values[start:stop, bins] = sums
                self._sum = sums[-1]
        counts = values[:, :bins]
        np.add.accumulate(added, axis=1, out=counts)
        np.add.accumulate(counts, axis=0, out=counts)
        counts += self._counts
        values[:, bins + 1] = counts[:, -1]
        self._counts = counts[-1].copy()
        return values


def build(spec: Histogram, observations: Observations) -> HistogramGenerator:
    """Return the generator of `spec` over its observations."""
    return HistogramGenerator(spec.buckets, observations)
