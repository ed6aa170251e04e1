"""The digest of what a run has made: an order-independent sum over its records, which others can compute as well.

Source: docs/values.md, "Digest".
"""

import hashlib
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.counters import Counters
from common.mixing import mix
from common.plan import EntryPlan

_MASK: Final = 2**64 - 1
_SEPARATOR: Final = b"\xff"
"""Between key and value of a label: no UTF-8 text has this byte."""

_MS: Final = 1_000_000

DigestSums = tuple[int, int]
"""The two halves of a digest, each below 2^64."""


def text_hash(text: bytes) -> int:
    """Return the hash of a text: its first eight bytes of BLAKE2b, little endian."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def label_hash(key: str, value: str) -> int:
    """Return the hash of a label."""
    return text_hash(key.encode() + _SEPARATOR + value.encode())


MixedSeries = tuple[NDArray[np.uint64], NDArray[np.uint64]]
"""What series begin the two halves of a digest with: uint64[n, series], or [1, series] when all ticks have the same."""


def mixed_series(series: NDArray[np.uint64]) -> MixedSeries:
    """Return what series begin with, which are the sums of the hashes of name and labels."""
    return mix(series), mix(~series)


def record_sums(series: MixedSeries, stamps_ns: NDArray[np.int64], contents: NDArray[np.uint64]) -> DigestSums:
    """Return the digest of records.

    Args:
        series: theirs.
        stamps_ns: int64[n], ns since the epoch.
        contents: uint64[n, series], the bits of the value, or the hash of the message.
    """
    stamps = (stamps_ns // _MS).view(np.uint64)[:, np.newaxis]
    first = mix(mix(series[0] ^ stamps) ^ contents)
    second = mix(mix(series[1] ^ contents) ^ stamps)
    return int(np.add.reduce(first, axis=None)), int(np.add.reduce(second, axis=None))


def value_bits(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return the bits of numbers; every NaN has the same."""
    numbers = np.ascontiguousarray(values)
    absent = numbers != numbers
    if absent.any():
        numbers = np.where(absent, np.nan, numbers)
    return numbers.view(np.uint64)


def digest_text(sums: DigestSums) -> str:
    """Return a digest as clients see it: 32 hexadecimal digits."""
    return "".join(f"{half & _MASK:016x}" for half in sums)


def digest_of(plan: EntryPlan, counters: Counters) -> str | None:
    """Return the digest of a run; None where none is made."""
    return digest_text((counters.digest_first, counters.digest_second)) if plan.digest else None


def add_digests(texts: Iterable[str]) -> str:
    """Return the digest of what these are the digests of, together.

    Raises:
        ValueError: one of them is none.
    """
    first = second = 0
    for text in texts:
        if len(text) != 32:
            raise ValueError(f"not a digest of 32 hexadecimal digits: {text!r}")
        first += int(text[:16], 16)
        second += int(text[16:], 16)
    return digest_text((first, second))
