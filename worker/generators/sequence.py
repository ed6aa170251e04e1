"""`sequence`: listed values, one per tick, repeated or held at the last."""

import numpy as np
from numpy.typing import NDArray

from common.specs import Sequence
from worker.ticks.batch import BATCH_EVENTS


class SequenceGenerator:
    """Slices of one table: the listed values, continued by one batch of what follows the last.

    Source: docs/scenarios.md, "Generators".
    """

    def __init__(self, values: NDArray[np.float64], *, repeat: bool) -> None:
        self._length = len(values)
        self._repeat = repeat
        continuation = np.resize(values, BATCH_EVENTS) if repeat else np.full(BATCH_EVENTS, values[-1])
        self._table = np.concatenate((values, continuation))
        self._table.setflags(write=False)

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return the values of `count` ticks, read-only."""
        start = first_tick % self._length if self._repeat else min(first_tick, self._length - 1)
        return self._table[start : start + count]


def build(spec: Sequence, _rate: float) -> SequenceGenerator:
    """Return the generator of `spec`, which has at least one value; the rate plays no part."""
    return SequenceGenerator(np.array(spec.values, dtype=np.float64), repeat=spec.repeat)
