"""A stretch: ticks at one constant rate, and the exact offset of each. Pure arithmetic; knows no clock.

Offsets must not accumulate rounding, must be whole nanoseconds, and must not depend on how the ticks are cut into
batches. So the ticks of a stretch lie in blocks of fixed boundaries: the start of a block is computed with integers
of any size, the place inside a block with one float formula, for one tick and for a column of them alike.
"""

from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.ticks.batch import BATCH_EVENTS

_BLOCK_TICKS: Final = 1024
"""Never to be changed: a tick's instant follows from the block that it lies in."""

# No machine fires a tick every femtosecond, and nobody waits for one in a century: between the two, offsets are exact.
_SHORTEST_PERIOD: Final = Fraction(1, 1_000_000)
_LONGEST_PERIOD: Final = Fraction(1 << 62)

_NS_PER_SEC: Final = 1_000_000_000
_HALF: Final = Fraction(1, 2)
_EXACT_FLOAT: Final = 1 << 53
_INT64_MAX: Final = (1 << 63) - 1


class Stretch:
    """Ticks number 0, 1, … at the offsets `origin + n * period`, rounded half up to whole nanoseconds.

    Args:
        origin: offset of tick 0 in ns, exact.
        period: ns from tick to tick, exact and > 0.

    Attributes:
        most_ticks: how many may be asked for at a time.
    """

    __slots__ = (
        "_base",
        "_block",
        "_block_ticks",
        "_denominator",
        "_fraction",
        "_origin",
        "_period",
        "_step",
        "_steps",
        "most_ticks",
    )

    def __init__(self, origin: Fraction, period: Fraction) -> None:
        rounded_up = origin + _HALF
        self._denominator = lcm(rounded_up.denominator, period.denominator)
        self._origin = int(rounded_up * self._denominator)
        self._step = int(period * self._denominator)
        self._period = float(period)
        # Up to here a float holds the place inside a block to better than 0.001 ns; slower ticks are a block each.
        self._block_ticks, self.most_ticks = (_BLOCK_TICKS, BATCH_EVENTS) if period <= _NS_PER_SEC else (1, 1)
        self._steps = _steps(self._block_ticks, self._period)
        self._block = -1
        self._base = 0
        self._fraction = 0.0

    def _enter(self, block: int) -> None:
        self._block = block
        self._base, rest = divmod(self._origin + block * self._block_ticks * self._step, self._denominator)
        self._fraction = rest / self._denominator

    def offset(self, n: int) -> int:
        """Return the offset of tick `n` in ns."""
        block, place = divmod(n, self._block_ticks)
        if block != self._block:
            self._enter(block)
        return self._base + int(self._fraction + place * self._period)

    def offsets(self, n: int, count: int, shift_ns: int) -> NDArray[np.int64]:
        """Return int64[count]: the offsets of `count` ≤ `most_ticks` ticks from tick `n` on, plus `shift_ns`."""
        block, place = divmod(n, self._block_ticks)
        here = self._block_ticks - place
        if count > here:
            return np.concatenate((self.offsets(n, here, shift_ns), self.offsets(n + here, count - here, shift_ns)))
        if block != self._block:
            self._enter(block)
        if count == 1:
            return np.array((self._base + int(self._fraction + place * self._period) + shift_ns,), dtype=np.int64)
        places: NDArray[np.int64] = (self._steps[place : place + count] + self._fraction).astype(np.int64)
        places += self._base + shift_ns
        return places

    def offsets_at(self, places: NDArray[np.int64], shift_ns: int) -> NDArray[np.int64]:
        """Return int64[n]: the offsets of ticks in ascending order, plus `shift_ns`; the same as one by one."""
        blocks, inner = np.divmod(places, self._block_ticks)
        first, last = int(blocks[0]), int(blocks[-1])
        step = self._block_ticks * self._step
        base, rest = divmod(self._origin + first * step, self._denominator)
        if self._denominator > _EXACT_FLOAT or max(last - first, 1) * step + rest > _INT64_MAX:
            return np.array([self.offset(place) + shift_ns for place in places.tolist()], dtype=np.int64)
        bases, rests = np.divmod((blocks - first) * step + rest, self._denominator)
        offsets: NDArray[np.int64] = (self._steps[inner] + rests / self._denominator).astype(np.int64)
        offsets += bases + (base + shift_ns)
        return offsets

    def first_at(self, edge_ns: int) -> int:
        """Return the number of the first tick whose offset is at or after `edge_ns`."""
        n = max(-((self._origin - edge_ns * self._denominator) // self._step), 0)
        # The float formula may round a tick that lies within 0.001 ns of a half the other way.
        while n and self.offset(n - 1) >= edge_ns:
            n -= 1
        while self.offset(n) < edge_ns:
            n += 1
        return n


def period_ns(rate_per_sec: Fraction) -> Fraction:
    """Return the period of a rate, in ns."""
    return min(max(Fraction(_NS_PER_SEC) / rate_per_sec, _SHORTEST_PERIOD), _LONGEST_PERIOD)


@lru_cache(maxsize=64)
def _steps(ticks: int, period: float) -> NDArray[np.float64]:
    """Return float64[ticks]: multiples of a period in ns; entries of one rate in a process share them."""
    steps = np.arange(ticks, dtype=np.float64)
    steps *= period
    steps.setflags(write=False)
    return steps
