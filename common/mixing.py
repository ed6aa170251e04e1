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

# PERF: arrays of no dimension; numpy would look up the kind of a scalar in every call, half of the time for a batch.
_INCREMENTS, _FIRSTS, _SECONDS, _30, _27, _31 = (
    np.array(number, np.uint64) for number in (_INCREMENT, _FIRST, _SECOND, 30, 27, 31)
)
_BYTES: Final = tuple(np.array(byte, np.uint64) for byte in range(256))


def ticks(first_tick: int, count: int) -> NDArray[np.uint64]:
    """Return uint64[count]: the numbers `first_tick`, `first_tick + 1`, … modulo 2^64."""
    return np.arange(count, dtype=np.uint64) + np.uint64(first_tick)


def mix(numbers: NDArray[np.uint64], offset: int = 0) -> NDArray[np.uint64]:
    """Return the 64-bit hash of every number, `offset` further on; the argument is not changed."""
    mixed = np.empty_like(numbers)
    increments = np.array((_INCREMENT + offset) & _MASK, np.uint64) if offset else _INCREMENTS
    _mix(numbers, mixed, np.empty_like(numbers), increments)
    return mixed


def fold(numbers: NDArray[np.uint64], name: bytes) -> NDArray[np.uint64]:
    """Return the 64-bit hash of every number with a name: one round for each byte; the argument is not changed."""
    folded = numbers.copy()
    shifted = np.empty_like(folded)
    for byte in name:
        np.bitwise_xor(folded, _BYTES[byte], folded)
        _mix(folded, folded, shifted)
    return folded


def _mix(
    numbers: NDArray[np.uint64],
    mixed: NDArray[np.uint64],
    shifted: NDArray[np.uint64],
    increments: NDArray[np.uint64] = _INCREMENTS,
) -> None:
    """Write the hash of every number into `mixed`, which may be `numbers`; `shifted` is overwritten."""
    np.add(numbers, increments, mixed)
    np.right_shift(mixed, _30, shifted)
    np.bitwise_xor(mixed, shifted, mixed)
    np.multiply(mixed, _FIRSTS, mixed)
    np.right_shift(mixed, _27, shifted)
    np.bitwise_xor(mixed, shifted, mixed)
    np.multiply(mixed, _SECONDS, mixed)
    np.right_shift(mixed, _31, shifted)
    np.bitwise_xor(mixed, shifted, mixed)


def unit_closed(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return the hashes as floats in [0, 1]; rounding to float64 comes before the division."""
    floats = hashes.astype(np.float64)
    floats /= 2.0**64
    return floats


def unit_half_open(hashes: NDArray[np.uint64], times: float = 1.0) -> NDArray[np.float64]:
    """Return the upper 53 bits of the hashes as floats in [0, 1), `times` a number."""
    # PERF: signed integers, which these are as well, take less to convert; so does a product than a quotient.
    floats = (hashes >> np.uint64(11)).view(np.int64).astype(np.float64)
    floats *= times * 2.0**-53
    return floats


def mix_number(number: int) -> int:
    """Return the 64-bit hash of one number below 2^64; cheaper than a column of one."""
    mixed = (number + _INCREMENT) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * _FIRST) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * _SECOND) & _MASK
    return mixed ^ (mixed >> 31)
