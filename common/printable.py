"""Text of users for lines that people read: the log, `ps`, a terminal.

What would move a cursor, begin another line or turn text around is shown as its escape; everything else stays as it is,
in whatever script. Source: Unicode Standard Annex #9 (bidirectional text); ECMA-48 (control functions).
"""

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters, line and paragraph separators, marks of direction, the byte order mark, halves of pairs."""


def printable(text: str) -> str:
    """Return `text` with an escape, as Python writes it, for each character that is not to be printed."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
