"""The integer mixer and its two maps to floats: one hash for generators and rotating labels, on whole columns.

All arithmetic is modulo 2^64 on arrays; a numpy scalar would warn where an array wraps. Source: generator contract,
sections 1.2 and 1.3.
"""

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = (np.uint64(shift) for shift in (30, 27, 31, 11))


def ticks(first_tick: int, count: int) -> NDArray[np.uint64]:
    """Return uint64[count]: the numbers `first_tick`, `first_tick + 1`, … modulo 2^64."""
    return np.arange(count, dtype=np.uint64) + np.uint64(first_tick)


def mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the 64-bit hash of every number; the argument is not changed."""
    mixed = numbers + _GOLDEN
    mixed ^= mixed >> _30
    mixed *= _FIRST
    mixed ^= mixed >> _27
    mixed *= _SECOND
    mixed ^= mixed >> _31
    return mixed


def unit_closed(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the hashes as floats in [0, 1]; rounding to float64 comes before the division."""
    floats = hashes.astype(np.float64)
    floats /= 2.0**64
    return floats


def unit_half_open(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the upper 53 bits of the hashes as floats in [0, 1)."""
    floats = (hashes >> _11).astype(np.float64)
    floats /= 2.0**53
    return floats
