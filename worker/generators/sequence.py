"""`sequence`: listed values, one per tick, repeated or held at the last."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.plan import ValueOrigin
from common.specs import Sequence
from worker.generators.places import GeneratorChange
from worker.generators.tick_generator import TickGenerator
from worker.ticks.batch import BATCH_EVENTS

_START: Final = ValueOrigin()


class SequenceGenerator(TickGenerator):
    """Slices of one table: the listed values, continued by one batch of what follows the last.

    Source: docs/scenarios.md, "Generators".
    """

    def __init__(self, values: NDArray[np.float64], *, repeat: bool, origin: ValueOrigin = _START) -> None:
        self._length = len(values)
        self._repeat = repeat
        self._first_tick = origin.tick - int(origin.place)
        continuation = np.resize(values, BATCH_EVENTS) if repeat else np.full(BATCH_EVENTS, values[-1])
        self._table = np.concatenate((values, continuation))
        self._table.setflags(write=False)

    def at(self, ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return float64[n]."""
        length = np.uint64(self._length)
        if self._first_tick:
            ticks = ticks - np.uint64(self._first_tick % 2**64)
        return self._table[ticks % length if self._repeat else np.minimum(ticks, length - np.uint64(1))]

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return the values of `count` ticks, read-only."""
        start = _shown(first_tick - self._first_tick, self._length, repeat=self._repeat)
        return self._table[start : start + count]


def build(spec: Sequence, _rate: float, origin: ValueOrigin) -> SequenceGenerator:
    """Return the generator of `spec`, which has at least one value, from its value number `origin.place` on."""
    return SequenceGenerator(np.array(spec.values, dtype=np.float64), repeat=spec.repeat, origin=origin)


def go_on(change: GeneratorChange[Sequence]) -> ValueOrigin:
    """Return where a list goes on: at the number of the value that would have been next."""
    before, after = change.before, change.after
    if before == after:
        return change.origin
    index = change.tick - change.origin.tick + int(change.origin.place)
    return change.at(_shown(index, len(before.values), repeat=before.repeat))


def _shown(index: int, length: int, *, repeat: bool) -> int:
    return index % length if repeat else max(min(index, length - 1), 0)
