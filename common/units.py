"""Durations and numbers as texts, and back: one grammar and one spelling for every message."""

import math
import re
from decimal import Decimal
from typing import Final

from common.errors import DurationError

# Suffixes are tried in this order, so that `ms` is not read as `s`.
_UNITS_MS: Final = {"ms": 1.0, "h": 3_600_000.0, "m": 60_000.0, "s": 1_000.0}
LONGEST_NS: Final = 4_611_686_018_427_387_000
"""146 years, for every length and offset of a plan: sums of two still fit a signed 64-bit integer."""

_WITH_UNIT: Final = "a duration is a number and a unit, such as 500ms, 10s, 5m or 1h"
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_MAX_MS: Final = 2.0**64
_MAX_MICROSECONDS: Final = 2**64 - 1
_MAX_QUOTED: Final = 200
_TIE_CHARACTERS: Final = 16
"""A shortest decimal of 15 digits or fewer is exact, so it ties with no other; 16 digits and a point are more."""
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def quote(text: str) -> str:
    r"""Return `text` in double quotes, with `\\`, `\"`, `\n`, `\t` and `\r` escaped.

    Source: docs/scenarios.md, "Durations and instants".
    """
    return f'"{text.translate(_ESCAPES)}"'


def clip(text: str) -> str:
    """Return `text`, cut to 200 characters: what a client sent is quoted in messages, but never at any length."""
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…"


def number_text(value: float) -> str:
    """Return the shortest decimal that reads back as `value`: no exponent, no trailing `.0`; `inf`, `-inf`, `NaN`.

    Of two equally short and equally near decimals it is the one further from zero, where `repr` takes the even one.
    Source: docs/scenarios.md, "Durations and instants"; docs/formats.md, "Numbers".
    """
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    shortest = repr(float(value))
    if len(shortest) > _TIE_CHARACTERS and not value.is_integer() and (value * 2.0**25).is_integer():
        shortest = _away_from_zero(value, shortest)
    digits, _, exponent = shortest.partition("e")
    if exponent:
        digits = _shift_point(digits, int(exponent))
    return digits.removesuffix(".0")


def _away_from_zero(value: float, shortest: str) -> str:
    shown = Decimal(shortest)
    missing = Decimal(value) - shown
    step = Decimal(1).scaleb(int(shown.as_tuple().exponent)).copy_sign(Decimal(value))
    other = shown + step
    return f"{other:f}" if 2 * missing == step and float(other) == value else shortest


def _shift_point(digits: str, places: int) -> str:
    sign = "-" if digits.startswith("-") else ""
    whole, _, fraction = digits.removeprefix("-").partition(".")
    if places >= 0:
        fraction = fraction.ljust(places, "0")
        return f"{sign}{whole}{fraction[:places]}.{fraction[places:] or '0'}"
    return f"{sign}0.{'0' * (-places - len(whole))}{whole}{fraction.rstrip('0')}"


def duration_us(text: str) -> int:
    """Return the whole microseconds of a duration text such as `1.5s`, truncated.

    Raises:
        DurationError: with the reason.

    Source: docs/scenarios.md, "Durations and instants".
    """
    if not text:
        raise DurationError("duration must not be empty", _WITH_UNIT)
    said = quote(clip(text))
    unit = next((suffix for suffix in _UNITS_MS if text.endswith(suffix)), None)
    if unit is None:
        raise DurationError(f"unrecognized duration unit in {said}: expected one of ms, s, m, h", _unit_hint(text))
    number = text.removesuffix(unit)
    if not number:
        raise DurationError(f"duration {said} has no numeric value before the unit")
    if number.startswith("-"):
        raise DurationError(f"duration {said} must be positive")
    if not _NUMBER.fullmatch(number):
        raise DurationError(
            f"duration {said} has an invalid numeric part {quote(clip(number))}",
            "a duration is one number and one unit, with nothing between: 90s, not 1m30s or 90 s",
        )
    value = float(number)
    if not 0.0 < value < float("inf"):
        raise DurationError(f"duration {said} must be greater than zero")
    milliseconds = value * _UNITS_MS[unit]
    if milliseconds > _MAX_MS:
        raise DurationError(f"duration {said} overflows millisecond representation")
    return min(int(milliseconds * 1000.0), _MAX_MICROSECONDS)


def _unit_hint(text: str) -> str:
    bare = text.strip()
    if _NUMBER.fullmatch(bare):
        return f"a duration has a unit: did you mean `{clip(bare)}s`?"
    if bare.endswith("d") and _NUMBER.fullmatch(bare[:-1]):
        return f"days are written in hours: `{number_text(float(bare[:-1]) * 24)}h`"
    return _WITH_UNIT


def duration_secs(text: str) -> float:
    """Return a duration text in seconds: whole seconds plus the rest in nanoseconds over 10**9.

    Raises:
        DurationError: as `duration_us`.

    Source: docs/scenarios.md, "YAML and JSON".
    """
    seconds, rest_us = divmod(duration_us(text), 1_000_000)
    return float(seconds) + float(rest_us * 1000) / 1e9


def nanoseconds(microseconds: int) -> int:
    """Return microseconds as nanoseconds, at most `LONGEST_NS`."""
    return min(microseconds * 1000, LONGEST_NS)


def round_half_away(value: float) -> int:
    """Return the nearest integer of a number >= 0, a half rounded up; exact where adding 0.5 is not."""
    whole = math.floor(value)
    return whole + (value - whole >= 0.5)


def duration_or_zero_us(text: str, *, unit_optional: bool = False) -> int:
    """Return the microseconds of a duration text that may also be zero (`0s`; also `0` when `unit_optional`).

    Raises:
        DurationError: as `duration_us`.
    """
    try:
        return duration_us(text)
    except DurationError:
        unit = next((suffix for suffix in _UNITS_MS if text.endswith(suffix)), None)
        if unit is None and not unit_optional:
            raise
        number = text.removesuffix(unit or "")
        if not number.startswith("-") and _NUMBER.fullmatch(number) and float(number) == 0.0:
            return 0
        raise
