"""Values computed ahead, so that a scenario of single ticks pays for a column only now and then."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.own_ticks import OwnTicks
from worker.generators.tick_generator import TickGenerator

_BLOCK_TICKS = 256
_FEW_TICKS = 16
"""As many and more are asked for when a block of events is encoded ahead, and are not worth keeping."""


class LookaheadGenerator:
    """The values of `inner`, small runs of ticks cut from a block.

    PERF: a call for one tick costs 5 to 20 µs in numpy's call overhead, and for a thousand hardly more.

    Args:
        inner: the generator.
        own: the ticks that are numbered; None for all.
    """

    def __init__(self, inner: TickGenerator, own: OwnTicks | None = None) -> None:
        self._inner = inner
        self._own = own
        self._first_tick = 0
        self._block: NDArray[Any] = self._computed(0, 0)

    def values(self, first_tick: int, count: int) -> NDArray[Any]:
        """Return what `inner` does, possibly read-only."""
        if count >= _FEW_TICKS:
            return self._computed(first_tick, count)
        start = first_tick - self._first_tick
        if 0 <= start <= len(self._block) - count:
            return self._block[start : start + count]
        self._first_tick = first_tick
        self._block = self._computed(first_tick, _BLOCK_TICKS)
        self._block.setflags(write=False)
        return self._block[:count]

    def _computed(self, number: int, count: int) -> NDArray[Any]:
        if self._own is None:
            return self._inner.values(number, count)
        return self._inner.at(self._own.ticks(number, count).astype(np.uint64))
