"""How late ticks were fired: histograms of the last full second and of the whole run in each row of the board.

::

    half 0      second u64, counts u32 × BUCKETS      seconds of even number
    half 1      the same                              seconds of odd number
    run         counts u64 × RUN_BUCKETS              all of them; the last has what lies in higher ones, too

The row's worker counts into the half of the second that runs; the other half is the second before, until that half's
turn comes again. So a reader finds the last full second without keeping anything, and nobody counts for the past.

A bucket is a quarter of an octave's width: values below 1 µs share four buckets, all others are known to within a
fourth of themselves.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from common.board import LATENESS_OFFSET

BUCKETS: Final = 128
"""The last one holds everything from about half an hour on."""

RUN_BUCKETS: Final = 126
"""As many as the page has room for: from 23 minutes on all are in the last one."""

_NS_PER_SEC: Final = 1_000_000_000
_UNIT_BITS: Final = 8
_UNIT_NS: Final = 1 << _UNIT_BITS
_COUNTS_OFFSET: Final = 8
_HALF_BYTES: Final = _COUNTS_OFFSET + 4 * BUCKETS
_RUN_BYTES: Final = 8 * RUN_BUCKETS
_RUN_OFFSET: Final = LATENESS_OFFSET + 2 * _HALF_BYTES
_UNWRITTEN: Final = -1


class Lateness:
    """One row's histogram.

    Args:
        view: the row's memory.
    """

    __slots__ = ("_base", "_counts", "_run", "_second", "_seconds", "_words")

    def __init__(self, view: memoryview) -> None:
        halves = view[LATENESS_OFFSET : LATENESS_OFFSET + 2 * _HALF_BYTES]
        self._seconds = halves.cast("Q")
        self._words = halves.cast("I")
        self._counts = np.frombuffer(halves, dtype=np.uint32)
        self._run = view[_RUN_OFFSET : _RUN_OFFSET + _RUN_BYTES].cast("Q")
        self._second = _UNWRITTEN
        self._base = 0

    def count(self, late_ns: int, events: int, now_ns: int) -> None:
        """Count events that were fired at `now_ns` (monotonic), `late_ns` behind their instant; for the worker."""
        second = now_ns // _NS_PER_SEC
        if second != self._second:
            self._begin(second)
        bucket = late_ns >> _UNIT_BITS if late_ns > 0 else 0
        if bucket >= 4:
            octave = bucket.bit_length() - 3
            bucket = min(4 * octave + (bucket >> octave), BUCKETS - 1)
        self._words[self._base + bucket] += events
        self._run[bucket if bucket < RUN_BUCKETS else -1] += events

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

    def whole_run(self) -> NDArray[np.uint64]:
        """Return the counts of all ticks since the worker began."""
        counts = np.zeros(BUCKETS, np.uint64)
        counts[:RUN_BUCKETS] = np.frombuffer(self._run, dtype=np.uint64)
        return counts

    def _begin(self, second: int) -> None:
        half = second % 2 * _HALF_BYTES
        base = (half + _COUNTS_OFFSET) // 4
        self._seconds[half // 8] = 0
        self._counts[base : base + BUCKETS] = 0
        self._seconds[half // 8] = second
        self._second, self._base = second, base


def quantile_secs(counts: NDArray[np.unsignedinteger[Any]], quantile: float) -> float:
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


def bucket_pairs(counts: NDArray[np.unsignedinteger[Any]]) -> list[tuple[int, int]]:
    """Return the buckets that have events: the upper bound of each in ns, and how many."""
    return [(_bounds_ns(bucket)[1], int(counts[bucket])) for bucket in np.flatnonzero(counts).tolist()]


def counts_of(pairs: Iterable[Sequence[int]]) -> NDArray[np.uint64]:
    """Return uint64[BUCKETS]: the counts of pairs of one or several histograms, added up.

    Raises:
        ValueError: a bound is none of a bucket.
    """
    buckets = {_bounds_ns(bucket)[1]: bucket for bucket in range(BUCKETS)}
    counts = np.zeros(BUCKETS, np.uint64)
    for bound_ns, events in pairs:
        if bound_ns not in buckets:
            raise ValueError(f"no bucket of lateness ends at {bound_ns} ns")
        counts[buckets[bound_ns]] += np.uint64(events)
    return counts


def _bounds_ns(bucket: int) -> tuple[int, int]:
    if bucket < 4:
        return bucket * _UNIT_NS, (bucket + 1) * _UNIT_NS
    octave, step = divmod(bucket - 4, 4)
    width = _UNIT_NS << octave
    return (4 + step) * width, (5 + step) * width
