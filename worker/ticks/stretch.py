"""A stretch: ticks at one constant rate, and the exact offset of each. Pure arithmetic; knows no clock.

Offsets must not accumulate rounding, must be whole nanoseconds, and must not depend on how the ticks are cut into
batches. So the ticks of a stretch lie in blocks of fixed boundaries: the start of a block is computed with integers
of any size, the place inside a block with one float formula, for one tick and for a column of them alike.
"""

from fractions import Fraction
from math import lcm
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.ticks.batch import BATCH_EVENTS

_NS_PER_SEC: Final = 1_000_000_000
_HALF: Final = Fraction(1, 2)


class Stretch:
    """Ticks number 0, 1, … at the offsets `origin + n * period`, rounded half up to whole nanoseconds.

    Args:
        origin: offset of tick 0 in ns, exact.
        period: ns from tick to tick, exact and > 0.
    """

    __slots__ = ("_base", "_block", "_denominator", "_fraction", "_origin", "_period", "_step", "_steps", "block_ticks")

    def __init__(self, origin: Fraction, period: Fraction) -> None:
        rounded_up = origin + _HALF
        self._denominator = lcm(rounded_up.denominator, period.denominator)
        self._origin = int(rounded_up * self._denominator)
        self._step = int(period * self._denominator)
        self._period = float(period)
        # Up to here a float holds the place inside a block to better than 0.001 ns; slower ticks are a block each.
        self.block_ticks = BATCH_EVENTS if period <= _NS_PER_SEC else 1
        self._steps = np.arange(self.block_ticks) * self._period
        self._block = -1
        self._base = 0
        self._fraction = 0.0

    def _enter(self, block: int) -> None:
        self._block = block
        self._base, rest = divmod(self._origin + block * self.block_ticks * self._step, self._denominator)
        self._fraction = rest / self._denominator

    def offset(self, n: int) -> int:
        """Return the offset of tick `n` in ns."""
        block, place = divmod(n, self.block_ticks)
        if block != self._block:
            self._enter(block)
        return self._base + int(self._fraction + place * self._period)

    def offsets(self, n: int, count: int, shift_ns: int) -> NDArray[np.int64]:
        """Return int64[count]: the offsets of `count` ticks from tick `n` on, all in one block, plus `shift_ns`."""
        block, place = divmod(n, self.block_ticks)
        if block != self._block:
            self._enter(block)
        if count == 1:
            return np.array((self._base + int(self._fraction + place * self._period) + shift_ns,), dtype=np.int64)
        places: NDArray[np.int64] = (self._steps[place : place + count] + self._fraction).astype(np.int64)
        places += self._base + shift_ns
        return places

    def first_at(self, edge_ns: int) -> int:
        """Return the number of the first tick whose offset is at or after `edge_ns`."""
        n = max(-((self._origin - edge_ns * self._denominator) // self._step), 0)
        # The float formula may round a tick that lies within 0.001 ns of a half the other way.
        while n and self.offset(n - 1) >= edge_ns:
            n -= 1
        while self.offset(n) < edge_ns:
            n += 1
        return n
