"""How late ticks were fired: a histogram of the last full second in each row of the board.

::

    half 0      second u64, counts u32 × BUCKETS      seconds of even number
    half 1      the same                              seconds of odd number

The row's worker counts into the half of the second that runs; the other half is the second before, until that half's
turn comes again. So a reader finds the last full second without keeping anything, and nobody counts for the past.

A bucket is a quarter of an octave's width: values below 1 µs share four buckets, all others are known to within a
fourth of themselves.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.board import LATENESS_OFFSET

BUCKETS: Final = 128
"""The last one holds everything from about half an hour on."""

_NS_PER_SEC: Final = 1_000_000_000
_UNIT_BITS: Final = 8
_UNIT_NS: Final = 1 << _UNIT_BITS
_COUNTS_OFFSET: Final = 8
_HALF_BYTES: Final = _COUNTS_OFFSET + 4 * BUCKETS
_UNWRITTEN: Final = -1


class Lateness:
    """One row's histogram.

    Args:
        view: the row's memory.
    """

    __slots__ = ("_base", "_counts", "_second", "_seconds", "_words")

    def __init__(self, view: memoryview) -> None:
        halves = view[LATENESS_OFFSET : LATENESS_OFFSET + 2 * _HALF_BYTES]
        self._seconds = halves.cast("Q")
        self._words = halves.cast("I")
        self._counts = np.frombuffer(halves, dtype=np.uint32)
        self._second = _UNWRITTEN
        self._base = 0

    def count(self, late_ns: int, events: int, now_ns: int) -> None:
        """Count events that were fired at `now_ns` (monotonic), `late_ns` behind their instant; for the worker."""
        second = now_ns // _NS_PER_SEC
        if second != self._second:
            self._begin(second)
        late = max(late_ns, 0) >> _UNIT_BITS
        if late >= 4:
            octave = late.bit_length() - 3
            late = min(4 * octave + (late >> octave), BUCKETS - 1)
        self._words[self._base + late] += events

    def last_second(self, now_ns: int) -> NDArray[np.uint32] | None:
        """Return the counts of the second before that of `now_ns`; None when no tick was fired in it."""
        second = now_ns // _NS_PER_SEC - 1
        half = second % 2 * _HALF_BYTES
        if self._seconds[half // 8] != second:
            return None
        base = (half + _COUNTS_OFFSET) // 4
        counts = self._counts[base : base + BUCKETS].copy()
        # A reader that was held up for a second may have copied counts that start again.
        return counts if self._seconds[half // 8] == second else None

    def _begin(self, second: int) -> None:
        half = second % 2 * _HALF_BYTES
        base = (half + _COUNTS_OFFSET) // 4
        self._seconds[half // 8] = 0
        self._counts[base : base + BUCKETS] = 0
        self._seconds[half // 8] = second
        self._second, self._base = second, base


def quantile_secs(counts: NDArray[np.uint64], quantile: float) -> float:
    """Return the lateness that this share of events did not exceed, in seconds; NaN without events.

    Args:
        counts: events in each bucket, BUCKETS of them.
        quantile: in (0, 1).
    """
    total = int(counts.sum())
    if not total:
        return float("nan")
    ranks = np.cumsum(counts)
    bucket = int(np.searchsorted(ranks, quantile * total))
    low, high = _bounds_ns(bucket)
    below = int(ranks[bucket - 1]) if bucket else 0
    return (low + (high - low) * (quantile * total - below) / int(counts[bucket])) / _NS_PER_SEC


def _bounds_ns(bucket: int) -> tuple[int, int]:
    if bucket < 4:
        return bucket * _UNIT_NS, (bucket + 1) * _UNIT_NS
    octave, step = divmod(bucket - 4, 4)
    width = _UNIT_NS << octave
    return (4 + step) * width, (5 + step) * width
