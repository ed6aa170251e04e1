"""Durations and numbers as texts, and back: one grammar, one spelling, for every message the contract fixes."""

import re
from typing import Final

from common.errors import DurationError

# Suffixes are tried in this order, so that `ms` is not read as `s`.
_UNITS_MS: Final = {"ms": 1.0, "h": 3_600_000.0, "m": 60_000.0, "s": 1_000.0}
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_MAX_MS: Final = 2.0**64
_MAX_MICROSECONDS: Final = 2**64 - 1
_MAX_QUOTED: Final = 200
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def quote(text: str) -> str:
    r"""Return `text` in double quotes, with `\\`, `\"`, `\n`, `\t` and `\r` escaped.

    Source: scenario format, section 0.
    """
    return f'"{text.translate(_ESCAPES)}"'


def clip(text: str) -> str:
    """Return `text`, cut to 200 characters: what a client sent is quoted in messages, but never at any length."""
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…"


def number_text(value: float) -> str:
    """Return the shortest decimal that reads back as `value`: no exponent, no trailing `.0`; `inf`, `-inf`, `NaN`.

    Source: scenario format, section 0.
    """
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    digits, _, exponent = repr(float(value)).partition("e")
    if exponent:
        digits = _shift_point(digits, int(exponent))
    return digits.removesuffix(".0")


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
        DurationError: with the contract's reason.

    Source: scenario format, section 11.1.
    """
    if not text:
        raise DurationError("duration must not be empty")
    unit = next((suffix for suffix in _UNITS_MS if text.endswith(suffix)), None)
    if unit is None:
        raise DurationError(f"unrecognized duration unit in {quote(text)}: expected one of ms, s, m, h")
    number = text.removesuffix(unit)
    if not number:
        raise DurationError(f"duration {quote(text)} has no numeric value before the unit")
    if number.startswith("-"):
        raise DurationError(f"duration {quote(text)} must be positive")
    if not _NUMBER.fullmatch(number):
        raise DurationError(f"duration {quote(text)} has an invalid numeric part {quote(number)}")
    value = float(number)
    if not 0.0 < value < float("inf"):
        raise DurationError(f"duration {quote(text)} must be greater than zero")
    milliseconds = value * _UNITS_MS[unit]
    if milliseconds > _MAX_MS:
        raise DurationError(f"duration {quote(text)} overflows millisecond representation")
    return min(int(milliseconds * 1000.0), _MAX_MICROSECONDS)


def duration_ns(text: str) -> int:
    """Return a duration text in nanoseconds, a whole number of microseconds.

    Raises:
        DurationError: as `duration_us`.
    """
    return duration_us(text) * 1000


def duration_or_zero_us(text: str, *, unit_optional: bool = False) -> int:
    """Return the microseconds of a duration text that may also be zero (`0s`; also `0` when `unit_optional`).

    Raises:
        DurationError: as `duration_us`.
    """
    try:
        return duration_us(text)
    except DurationError:
        number = text.strip()
        unit = next((suffix for suffix in _UNITS_MS if number.endswith(suffix)), None)
        if unit is None and not unit_optional:
            raise
        number = number.removesuffix(unit or "").strip()
        if not number.startswith("-") and _NUMBER.fullmatch(number) and float(number) == 0.0:
            return 0
        raise
