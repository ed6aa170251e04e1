"""The integer mixer against its published and confirmed figures."""

import numpy as np
import pytest

from common.mixing import fold, mix, mix_number, ticks, unit_closed, unit_half_open


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, 16294208416658607535),
        (1, 10451216379200822465),
        (42, 13679457532755275413),
        (2**64 - 1, 16490336266968443936),
    ],
)
def test_mix_equals_splitmix64(number: int, expected: int) -> None:
    """The hashes are those of SplitMix64."""
    assert mix(np.array([number], dtype=np.uint64)).tolist() == [expected]


def test_mix_leaves_its_argument_alone() -> None:
    """The column that is hashed can be used again."""
    numbers = np.arange(4, dtype=np.uint64)
    mix(numbers)
    assert numbers.tolist() == [0, 1, 2, 3]


def test_fold_mixes_every_byte_in() -> None:
    """One round of the mixer for each byte, also of every other number of a column, and the column stays as it is."""
    numbers = np.arange(2**64 - 6, 2**64 - 1, dtype=np.uint64)[::2]
    before = numbers.tolist()
    expected = before
    for byte in b"ip\xff":
        expected = [mix_number(number ^ byte) for number in expected]
    assert fold(numbers, b"ip\xff").tolist() == expected
    assert fold(numbers, b"").tolist() == numbers.tolist() == before


def test_ticks_reach_the_last_number() -> None:
    """Tick numbers are exact up to 2^64 - 1."""
    assert ticks(2**64 - 3, 3).tolist() == [2**64 - 3, 2**64 - 2, 2**64 - 1]


def test_unit_closed_reaches_one() -> None:
    """Hashes from 2^64 - 1024 on are 1.0: rounding comes before the division."""
    hashes = np.array([0, 2**63, 2**64 - 1025, 2**64 - 1024, 2**64 - 1], dtype=np.uint64)
    assert unit_closed(hashes).tolist() == [0.0, 0.5, 1.0 - 2.0**-53, 1.0, 1.0]


def test_unit_half_open_stays_below_one() -> None:
    """The greatest hash gives the greatest float below 1."""
    assert unit_half_open(np.array([0, 2**64 - 1], dtype=np.uint64)).tolist() == [0.0, 1.0 - 2.0**-53]
