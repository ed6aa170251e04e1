"""`start_time`: which wall-clock instant stands for the start of an entry in its stamps.

Source: RFC 3339, section 5.6; docs/scenarios.md, "Durations and instants".
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from common.errors import DecodeError, DurationError
from common.units import clip, duration_us, quote

_DAY_US: Final = 86_400_000_000
MAX_SHIFT_US: Final = 50 * 366 * _DAY_US
"""Fifty years either way: stamps stay after 1970 and within signed 64-bit nanoseconds."""

_YEARS: Final = range(1970, 2200)
_INSTANT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_DAYS: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class StartTime(NamedTuple):
    """The anchor as an instant (ns since the epoch), or None for the real start, and what is added to it (ns)."""

    anchor_ns: int | None
    shift_ns: int


def parse_start_time(text: str) -> StartTime:
    """Return what a `start_time` text says.

    Raises:
        DecodeError: with the text that the client reads.
    """
    text = text.strip()
    if not text:
        raise DecodeError("start_time must not be empty")
    if text == "now":
        return StartTime(None, 0)
    if text[0] in "+-":
        shift_us = _span_us(text[1:], f"start_time offset {quote(clip(text[1:]))}")
        return StartTime(None, shift_us * (1000 if text[0] == "+" else -1000))
    said = f'start_time {quote(clip(text))} is not a valid RFC 3339 timestamp, signed offset, or "now"'
    return StartTime(parse_instant(text, said), 0)


def parse_backfill(text: str) -> int:
    """Return how long before its start the history of an entry begins, in microseconds.

    Raises:
        DecodeError: with the text that the client reads.
    """
    return _span_us(text.strip(), f"backfill {quote(clip(text))}")


def _span_us(text: str, said: str) -> int:
    if not text.endswith("d"):
        try:
            offset_us = duration_us(text)
        except DurationError as exc:
            raise DecodeError(f"invalid {said}: {exc}") from exc
    else:
        number = text[:-1]
        if not _DAYS.fullmatch(number):
            raise DecodeError(f"{said} has an invalid numeric part")
        days = float(number)
        if days <= 0:
            raise DecodeError(f"{said} must be greater than zero")
        # Compared before the conversion, which infinity would not survive.
        offset_us = int(days * _DAY_US) if days * _DAY_US <= MAX_SHIFT_US else MAX_SHIFT_US + 1
    if offset_us > MAX_SHIFT_US:
        raise DecodeError(f"{said} is too large")
    return offset_us


def parse_instant(text: str, said: str) -> int:
    """Return an RFC 3339 instant in ns since the epoch.

    Args:
        text: the instant.
        said: how an error begins.

    Raises:
        DecodeError: it is none.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise DecodeError(f"{said}: expected YYYY-MM-DDTHH:MM:SS followed by Z or an offset such as +02:00")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    if year not in _YEARS:
        raise DecodeError(f"{said}: the year must lie between {_YEARS.start} and {_YEARS.stop - 1}")
    if second > 60 or int(offset_hours or 0) > 23 or int(offset_minutes or 0) > 59:
        raise DecodeError(f"{said}: a part is out of range")
    try:
        # A leap second is legal; it is the first instant of the next minute on every clock we have.
        whole = datetime(year, month, day, hour, minute, 0, tzinfo=UTC) + timedelta(seconds=second)
    except ValueError as exc:
        raise DecodeError(f"{said}: {exc}") from exc
    offset = timedelta(hours=int(offset_hours or 0), minutes=int(offset_minutes or 0))
    seconds = (whole - _EPOCH) // timedelta(seconds=1) - int(offset.total_seconds()) * (-1 if sign == "-" else 1)
    return seconds * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))
