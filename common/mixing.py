"""The integer mixer and its two maps to floats: one hash for generators and rotating labels, on whole columns.

All arithmetic is modulo 2^64 on arrays; a numpy scalar would warn where an array wraps. Source: docs/values.md,
"Draws".
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_MASK: Final = 2**64 - 1
_INCREMENT: Final = 0x9E3779B97F4A7C15
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB


def ticks(first_tick: int, count: int) -> NDArray[np.uint64]:
    """Return uint64[count]: the numbers `first_tick`, `first_tick + 1`, … modulo 2^64."""
    return np.arange(count, dtype=np.uint64) + np.uint64(first_tick)


def mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the 64-bit hash of every number; the argument is not changed."""
    mixed = numbers + np.uint64(_INCREMENT)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(_FIRST)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(_SECOND)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def unit_closed(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the hashes as floats in [0, 1]; rounding to float64 comes before the division."""
    floats = hashes.astype(np.float64)
    floats /= 2.0**64
    return floats


def unit_half_open(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the upper 53 bits of the hashes as floats in [0, 1)."""
    floats = (hashes >> np.uint64(11)).astype(np.float64)
    floats /= 2.0**53
    return floats


def mix_number(number: int) -> int:
    """Return the 64-bit hash of one number below 2^64; cheaper than a column of one."""
    mixed = (number + _INCREMENT) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * _FIRST) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * _SECOND) & _MASK
    return mixed ^ (mixed >> 31)
