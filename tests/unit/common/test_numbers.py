"""Spelling of numbers: tables, and random values against slow references built on `decimal`."""

import math
import struct
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.numbers import NumberFormat, json_format, text_format
from tests.support.per_event import shortest_text

EXACT = Context(prec=800)


def one_and_column(form: NumberFormat, value: float) -> str:
    """Return the text of `value`, having checked that it is the same alone and in a column."""
    alone = form.one(value)
    neighbours = np.array([value, 0.1, value])
    assert form.column(neighbours).split(b",") == [alone, form.one(0.1), alone]
    assert form.column(neighbours[:1]) == alone
    return alone.decode()


@pytest.mark.parametrize(
    ("value", "text", "json"),
    [
        (7.0, "7", "7.0"),
        (0.1 + 0.2, "0.30000000000000004", "0.30000000000000004"),
        (-0.0, "-0", "-0.0"),
        (0.0, "0", "0.0"),
        (1e-5, "0.00001", "0.00001"),
        (2.5e-9, "0.0000000025", "2.5e-9"),
        (1e-6, "0.000001", "1e-6"),
        (1e-7, "0.0000001", "1e-7"),
        (1e15, "1000000000000000", "1000000000000000.0"),
        (1e16, "10000000000000000", "1e+16"),
        (6.02214076e23, "602214076000000000000000", "6.02214076e+23"),
        (20 + 2**-16, "20.000015258789063", "20.000015258789062"),
        (-(2**-25), "-0.000000029802322387695313", "-2.9802322387695312e-8"),
        (9007199254740992.0, "9007199254740992", "9007199254740992.0"),
        (math.nan, "NaN", "null"),
        (-math.nan, "NaN", "null"),
        (math.inf, "inf", "null"),
        (-math.inf, "-inf", "null"),
    ],
)
def test_full_numbers(value: float, text: str, json: str) -> None:
    """Numbers without precision, in the text formats and in JSON."""
    assert one_and_column(text_format(None), value) == text
    assert one_and_column(json_format(None), value) == json


@pytest.mark.parametrize(
    ("value", "precision", "text", "json"),
    [
        (0.5, 0, "0", "1.0"),
        (2.5, 0, "2", "3.0"),
        (0.125, 2, "0.12", "0.13"),
        (1.115, 2, "1.11", "1.12"),
        (2.0, 3, "2.000", "2.0"),
        (-0.4, 0, "-0", "-0.0"),
        (-0.004, 2, "-0.00", "-0.0"),
        (math.nan, 2, "NaN", "null"),
        (math.inf, 2, "inf", "null"),
        (-math.inf, 0, "-inf", "null"),
    ],
)
def test_rounded_numbers(value: float, precision: int, text: str, json: str) -> None:
    """Numbers with a precision, in the text formats and in JSON."""
    assert one_and_column(text_format(precision), value) == text
    assert one_and_column(json_format(precision), value) == json


def test_json_rounding_that_overflows_is_null() -> None:
    """A product beyond float64 has no JSON number."""
    assert one_and_column(json_format(17), 1e308) == "null"


bit_patterns = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
dyadic = st.builds(lambda bits, exponent: bits / 2.0**exponent, st.integers(-(2**52), 2**52), st.integers(0, 30))
numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), dyadic, st.integers(-(10**18), 10**18).map(float))
finite_patterns = bit_patterns.filter(math.isfinite)


@given(st.lists(numbers | finite_patterns, min_size=1, max_size=40))
def test_text_numbers_equal_a_slow_reference(values: list[float]) -> None:
    """Every number of a column is the shortest decimal, ties away from zero, without exponent."""
    column = text_format(None).column(np.array(values)).decode().split(",")
    assert column == [shortest_text(value) for value in values]


@given(
    st.lists(st.integers(0, 2**53).map(float), min_size=1, max_size=20),
    st.lists(st.sampled_from([-0.0, -1.0, 0.5, 2.0**53, math.nan, math.inf]), max_size=1),
)
def test_counts_equal_the_same_slow_reference(counts: list[float], others: list[float]) -> None:
    """A column of counts alone is spelled in a way of its own, and one that has anything else is not."""
    column = text_format(None).column(np.array(counts + others))
    assert column == b",".join(text_format(None).one(value) for value in counts + others)


@given(st.lists(numbers | finite_patterns, min_size=1, max_size=40))
def test_json_numbers_have_the_digits_of_repr(values: list[float]) -> None:
    """JSON numbers read back exactly, have the digits of repr, and the exponent form of `docs/formats.md`."""
    for value, text in zip(values, json_format(None).column(np.array(values)).decode().split(","), strict=True):
        assert struct.pack("<d", float(text)) == struct.pack("<d", value)
        digits, _, exponent = text.partition("e")
        if exponent:
            assert exponent[0] in "+-"
            assert not exponent[1:].startswith("0")
            assert abs(value) >= 1e16 or abs(value) < 1e-5
            assert "." not in digits or not digits.endswith("0")
        else:
            assert value == 0 or 1e-5 <= abs(value) < 1e16
        assert Decimal(text) == Decimal(repr(value))


@given(st.lists(numbers.filter(lambda value: abs(value) < 1e12), min_size=1, max_size=40), st.integers(0, 17))
def test_fixed_numbers_round_the_exact_value_half_to_even(values: list[float], precision: int) -> None:
    """`precision` decimals of the exact binary value, ties to even, zeros kept."""
    column = text_format(precision).column(np.array(values)).decode().split(",")
    unit = Decimal(1).scaleb(-precision)
    for value, text in zip(values, column, strict=True):
        assert Decimal(text) == Decimal(value).quantize(unit, ROUND_HALF_EVEN, EXACT)
        assert text.startswith("-") == (math.copysign(1.0, value) < 0)
        assert len(text.partition(".")[2]) == precision


@given(st.lists(numbers.filter(lambda value: abs(value) < 1e12), min_size=1, max_size=40), st.integers(0, 9))
def test_json_numbers_round_half_away_from_zero(values: list[float], precision: int) -> None:
    """JSON precision rounds the float product half away from zero and divides again."""
    column = json_format(precision).column(np.array(values)).decode().split(",")
    for value, text in zip(values, column, strict=True):
        rounded = Decimal(value * 10.0**precision).quantize(Decimal(1), ROUND_HALF_UP, EXACT)
        assert float(text) == float(rounded) / 10.0**precision


@pytest.mark.parametrize("precision", [None, 0, 3])
def test_a_column_of_one_thousand_is_the_join_of_its_numbers(precision: int | None) -> None:
    """Awkward neighbours do not disturb each other: integral, tiny, huge, dyadic, non-finite in one column."""
    generator = np.random.default_rng()
    values = generator.choice(
        [1.0, -0.0, 1e-9, 1e300, 20 + 2**-16, 0.5, math.nan, math.inf, 0.1, 123456789.125], size=1000
    ) * generator.choice([1.0, 1.0, -1.0, 2.0**-20], size=1000)
    for form in (text_format(precision), json_format(precision)):
        assert form.column(values) == b",".join(form.one(value) for value in values.tolist())


def test_a_column_of_a_table_is_spelled_as_any_other() -> None:
    """Recent samples are picked out of a table, so they do not lie next to each other."""
    table = np.arange(12.0).reshape(4, 3)
    assert text_format(None).column(table[:, 1]) == b"1,4,7,10"


def test_neighbours_in_magnitude_cross_every_threshold() -> None:
    """Around each power of ten the positional and exponent forms change at the documented places."""
    for exponent in range(-12, 20):
        edge = float(f"1e{exponent}")
        values = [np.nextafter(edge, 0.0), edge, np.nextafter(edge, math.inf)]
        texts = [float(text) for text in text_format(None).column(np.array(values)).split(b",")]
        assert texts == values
        assert all(low < high for low, high in pairwise(texts))
