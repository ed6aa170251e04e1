"""`start_at`: instants that are read, and how far away they may lie."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.compiler.timing.start_at import parse_start_at

NOW_NS = 1_796_083_200 * 10**9


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("2026-12-01T00:00:10Z", NOW_NS + 10 * 10**9),
        ("2026-12-01T02:00:10.25+02:00", NOW_NS + 10_250_000_000),
        ("1796083200", NOW_NS),
        ("1796083199.000000001", NOW_NS - 10**9 + 1),
        ("1796169600", NOW_NS + 86_400 * 10**9),
    ],
)
def test_an_instant_is_read(text: str, expected_ns: int) -> None:
    """To the nanosecond, in either form."""
    assert parse_start_at(text, NOW_NS) == expected_ns


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1796083196.8", "1796083196.8 lies 3.2 s in the past, at most 1 s is accepted"),
        ("2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z lies 24.0 h in the past, at most 1 s is accepted"),
        ("1796169601", "1796169601 lies 24.0 h ahead, at most 24 h are accepted"),
        ("now", '"now" is neither an RFC 3339 timestamp nor a number of seconds since the epoch'),
        ("2026-12-01T00:00:10", "followed by Z or an offset such as"),
        ("-1", "neither an RFC 3339 timestamp"),
        ("", "neither an RFC 3339 timestamp"),
    ],
)
def test_what_cannot_be_is_refused(text: str, reason: str) -> None:
    """With its reason."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_start_at(text, NOW_NS)


@given(text=st.text())
def test_no_text_is_worse_than_refused(text: str) -> None:
    """A ValueError, or an instant within reach."""
    with contextlib.suppress(ValueError):
        assert NOW_NS - 10**9 <= parse_start_at(text, NOW_NS) <= NOW_NS + 86_400 * 10**9
