"""Segments: a run in n parts, one a host. Imports little, so that arguments are read without the engine.

Source: docs/values.md, "Segments".
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, Self

Split = Literal["series", "ticks"]
"""How an entry is shared by segments: each of its series belongs to one, or its ticks take turns."""

MAX_SEGMENTS: Final = 65_536
SPLIT_VERSION: Final = 1
"""Of the rule by which series are dealt: hosts that differ in it would make some series twice and others never."""

_TEXT: Final = re.compile(r"([0-9]{1,9})/([0-9]{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Segment:
    """One of `count` segments.

    Attributes:
        index: which one, from 1.
        count: how many there are, at most MAX_SEGMENTS.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a text such as `2/7` says.

        Raises:
            ValueError: with the text for whoever wrote it.
        """
        match = _TEXT.fullmatch(text)
        index, count = (0, 0) if match is None else map(int, match.groups())
        if not 1 <= index <= count <= MAX_SEGMENTS:
            raise ValueError(f"expected I/N with 1 <= I <= N <= {MAX_SEGMENTS}, such as 2/7 for the second of seven")
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
