"""What users write, on lines that people read."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcödé 日本語", "plain ünïcödé 日本語"),
        ("a\nb\r\tc\x00", r"a\nb\r\tc\x00"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m", r"\x9b31m"),
        ("one\u2028two\u2029three\x85", r"one\u2028two\u2029three\x85"),
        ("abc\u202efdp.exe\u2066x\u2069", r"abc\u202efdp.exe\u2066x\u2069"),
        ("\ufeffmark \ud800", r"\ufeffmark \ud800"),
    ],
)
def test_what_would_move_or_turn_is_escaped(text: str, shown: str) -> None:
    """The rest stays as it is, in whatever script."""
    assert printable(text) == shown


_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text())
def test_nothing_unsafe_is_left(text: str) -> None:
    """One line, no control function, no change of direction, and it can be written as UTF-8."""
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not {unicodedata.bidirectional(one) for one in shown} & _TURNING
    assert all(unicodedata.category(one) not in ("Cc", "Zl", "Zp", "Cs") for one in shown)
    shown.encode()
    assert printable(shown) == shown
