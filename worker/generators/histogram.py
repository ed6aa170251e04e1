"""Histogram: how many observations lie at or below each bound, with their sum and count, over the whole run.

Source: docs/values.md, "Observations".
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from common.plan import Histogram
from worker.generators.observations import Observations

_BYTE_MAX: Final = 255


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
        bins = len(self._counts)
        columns = np.zeros((bins + 2, count))
        counts, sums = columns[:bins], columns[bins]
        with np.errstate(all="ignore"):
            for start, stop, draws in self._observations.slices(first_tick, count):
                places = len(draws)
                counts[:-1, start:stop] += at_most(self._bounds, draws)
                counts[-1, start:stop] += places
                draws[0, 0] += self._sum
                sums[start:stop] = np.add.accumulate(draws.T.ravel())[places - 1 :: places]
                self._sum = sums[stop - 1]
        counts[:, 0] += self._counts
        np.add.accumulate(counts, axis=1, out=counts)
        self._counts = counts[:, -1].copy()
        columns[bins + 1] = counts[-1]
        return columns.T

    @property
    def counted(self) -> NDArray[np.float64]:
        """The row of the newest tick; zeros before the first."""
        return np.array([*self._counts, self._sum, self._counts[-1]])

    @property
    def totals(self) -> list[float]:
        """What was counted until now: observed ticks, the sum, a counter for each bound and for infinity."""
        return [self._observations.observed_ticks, float(self._sum), *self._counts.tolist()]

    @totals.setter
    def totals(self, totals: Sequence[float]) -> None:
        observed, self._sum, *counts = totals
        self._observations.observed_ticks = int(observed)
        self._counts[:] = counts


def at_most(bounds: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.integer[Any]]:
    """Return how many draws of each tick lie at or below each bound, of float64[places, ticks]: int[bounds, ticks]."""
    places, columns = draws.shape
    # PERF: bytes are summed up four times as fast; and few bounds lie among the draws.
    counts = np.zeros((len(bounds), columns), dtype=np.uint8 if places <= _BYTE_MAX else np.intp)
    low, high = draws.min(), draws.max()
    first, stop = np.searchsorted(bounds, (low, high)) if low <= high else (0, len(bounds))
    for bound, found in zip(bounds[first:stop], counts[first:stop], strict=True):
        np.add.reduce((draws <= bound).view(np.uint8), axis=0, dtype=counts.dtype, out=found)
    counts[stop:] = places
    return counts


def build(spec: Histogram, observations: Observations) -> HistogramGenerator:
    """Return the generator of `spec` over its observations."""
    return HistogramGenerator(spec.buckets, observations)
