"""Durations and numbers as texts."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DurationError
from common.units import (
    LONGEST_NS,
    clip,
    duration_or_zero_us,
    duration_us,
    nanoseconds,
    number_text,
    quote,
    round_half_away,
)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("5s", 5_000_000),
        ("1.5s", 1_500_000),
        (".5s", 500_000),
        ("5.s", 5_000_000),
        ("1e3ms", 1_000_000),
        ("+2m", 120_000_000),
        ("1h", 3_600_000_000),
        ("1.001s", 1_000_999),
        ("33.3333ms", 33_333),
        ("69.6h", 250_559_999_999),
        ("0.0001ms", 0),
        ("18446744073709551616ms", 2**64 - 1),
    ],
)
def test_duration_is_truncated_to_microseconds(text: str, microseconds: int) -> None:
    """A duration is number times unit, evaluated in float64 and truncated; beyond 64 bits it saturates."""
    assert duration_us(text) == microseconds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "duration must not be empty"),
        ("30", 'unrecognized duration unit in "30": expected one of ms, s, m, h'),
        ("5d", 'unrecognized duration unit in "5d": expected one of ms, s, m, h'),
        ("5S", 'unrecognized duration unit in "5S": expected one of ms, s, m, h'),
        ("5sec", 'unrecognized duration unit in "5sec": expected one of ms, s, m, h'),
        ("ms", 'duration "ms" has no numeric value before the unit'),
        ("h", 'duration "h" has no numeric value before the unit'),
        ("-5s", 'duration "-5s" must be positive'),
        ("-0s", 'duration "-0s" must be positive'),
        ("xs", 'duration "xs" has an invalid numeric part "x"'),
        ("9 s", 'duration "9 s" has an invalid numeric part "9 "'),
        (" 9s", 'duration " 9s" has an invalid numeric part " 9"'),
        ("1h30m", 'duration "1h30m" has an invalid numeric part "1h30"'),
        ("1_0s", 'duration "1_0s" has an invalid numeric part "1_0"'),
        ("٣s", 'duration "٣s" has an invalid numeric part "٣"'),
        ("0s", 'duration "0s" must be greater than zero'),
        ("nans", 'duration "nans" must be greater than zero'),
        ("infs", 'duration "infs" must be greater than zero'),
        ("1e400s", 'duration "1e400s" must be greater than zero'),
        ("18446744073709555000ms", 'duration "18446744073709555000ms" overflows millisecond representation'),
    ],
)
def test_what_is_no_duration_says_why(text: str, reason: str) -> None:
    """Every text outside the grammar is refused with its reason."""
    with pytest.raises(DurationError) as caught:
        duration_us(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize("text", ["0s", "0ms", "0.0m", "0e5h"])
def test_zero_is_a_duration_where_none_is_needed(text: str) -> None:
    """Zero with a unit is accepted where a duration may be zero, with nothing around it."""
    assert duration_or_zero_us(text) == 0


@pytest.mark.parametrize("text", ["0", "-0s", "-0", "", "x", "0d"])
def test_zero_needs_its_unit_and_no_sign(text: str) -> None:
    """Without a unit, with a minus or with a foreign unit zero is refused like any other text."""
    with pytest.raises(DurationError):
        duration_or_zero_us(text)


def test_unit_of_zero_may_be_optional() -> None:
    """Delays and window starts also take a bare zero, but no bare number."""
    assert duration_or_zero_us("0", unit_optional=True) == 0
    with pytest.raises(DurationError):
        duration_or_zero_us("1", unit_optional=True)


@given(st.integers(1, 10**12), st.sampled_from(["ms", "s", "m", "h"]))
def test_whole_durations_round_trip(count: int, unit: str) -> None:
    """A whole number of units is read exactly, as far as float64 counts microseconds."""
    milliseconds = count * {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}[unit]
    if milliseconds * 1000 <= 2**53:
        assert duration_us(f"{count}{unit}") == milliseconds * 1000


@given(st.text())
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    """No text raises anything but DurationError."""
    with suppress(DurationError):
        assert duration_us(text) >= 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-1.0, "-1"),
        (0.3, "0.3"),
        (1e21, "1000000000000000000000"),
        (1.5e-7, "0.00000015"),
        (-2.5e-9, "-0.0000000025"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (float("nan"), "NaN"),
        (1.7976931348623157e308, "17976931348623157" + "0" * 292),
        (5e-324, "0." + "0" * 323 + "5"),
    ],
)
def test_numbers_have_no_exponent(value: float, text: str) -> None:
    """Numbers in messages are the shortest decimal without exponent or trailing zero fraction."""
    assert number_text(value) == text


@given(st.floats(allow_nan=False))
def test_number_texts_read_back(value: float) -> None:
    """A number's text reads back as the very same float64."""
    text = number_text(value)
    assert "e" not in text
    assert struct.pack("d", float(text)) == struct.pack("d", value)


def test_quoting_escapes_what_would_break_a_line() -> None:
    """Quoted texts stay on one line and inside their quotes."""
    assert quote('a"b\\c\n\t\r') == '"a\\"b\\\\c\\n\\t\\r"'


def test_long_texts_are_clipped() -> None:
    """A message quotes at most 200 characters of what was sent."""
    assert clip("a" * 200) == "a" * 200
    assert clip("a" * 201) == "a" * 200 + "…"


def test_lengths_stay_within_signed_64_bits() -> None:
    """Two of the longest lengths add up without overflow."""
    assert nanoseconds(2**64 - 1) == LONGEST_NS
    assert 2 * LONGEST_NS < 2**63
    assert nanoseconds(1_500_000) == 1_500_000_000


@pytest.mark.parametrize(("value", "whole"), [(0.5, 1), (1.5, 2), (2.5, 3), (2.4999, 2), (0.49999999999999994, 0)])
def test_halves_are_rounded_up(value: float, whole: int) -> None:
    """Rounding is half away from zero, and exact just below a half."""
    assert round_half_away(value) == whole
