"""The body of a Loki push: stamps and lines as one JSON text. Pure. Source: docs/sinks.md, "Loki"."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from common.labels import Labels
from common.numbers import json_column

_SHORT_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_LONG_ESCAPES: Final = {b"b": b"\\u0008", b"f": b"\\u000c"}

_BETWEEN: Final = b'"],["'
_APART: Final = b'"]\n["'


def stamp_texts(stamps_ns: NDArray[np.int64]) -> list[str]:
    """Return int64[n] nanoseconds as digits; an instant before the epoch is 0."""
    return json_column(np.maximum(stamps_ns, 0)).decode().split(",")


def line_texts(payload: bytes, ends: NDArray[np.int64] | None = None) -> list[str]:
    """Return the lines of `payload` without the line feeds behind them; what is no UTF-8 becomes U+FFFD.

    Args:
        payload: lines back to back.
        ends: int64[n], the offset behind each line; None when every line ends with its only line feed.
    """
    if ends is None:
        lines = payload.decode(errors="replace").split("\n")
        lines.pop()
        return lines
    bounds = pairwise([0, *ends.tolist()])
    return [payload[begin:end].rstrip(b"\n").decode(errors="replace") for begin, end in bounds]


class Entries:
    """Entries of a stream, back to back as JSON has them.

    Args:
        stamps: ns since the epoch, in digits.
        lines: as many.
        spelled_out: whether U+0008 or U+000C may occur in lines. They are written in the long form, not by JSON's short
            escapes.
    """

    def __init__(self, stamps: Sequence[str], lines: Sequence[str], *, spelled_out: bool) -> None:
        self._count = len(lines)
        text = orjson.dumps(list(zip(stamps, lines, strict=True)))
        self._text = _SHORT_ESCAPE.sub(_lengthened, text) if spelled_out else text

    def every(self, start: int, stop: int, step: int) -> bytes:
        """Return every `step`-th entry of those from `start` up to `stop`, with commas between them."""
        if step > 1:
            return b",".join(self._cells[start:stop:step])
        if stop - start == self._count:
            return self._text[1:-1]
        ends = self._ends
        return self._text[ends[start] + 1 : ends[stop]]

    @cached_property
    def _ends(self) -> list[int]:
        """Where the first entry begins and each ends, less the bracket or comma before it."""
        # Inside a text there is a backslash before every quotation mark.
        apart = self._text.replace(_BETWEEN, _APART)
        return [0, *(np.flatnonzero(np.frombuffer(apart, dtype=np.uint8) == ord("\n"))).tolist(), len(apart) - 1]

    @cached_property
    def _cells(self) -> list[bytes]:
        return self._text[1:-1].replace(_BETWEEN, _APART).split(b"\n")


def push_body(streams: Mapping[Labels, Iterable[bytes]]) -> bytes:
    """Return the compact JSON of one push: streams in the order of their labels, each with its entries."""
    parts = [b'{"streams":[']
    for labels in sorted(streams):
        parts += _stream_text(labels), b",".join(streams[labels]), b"]},"
    parts[-1] = b"]}]}"
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _stream_text(labels: Labels) -> bytes:
    """Return how a stream begins, its labels sorted by key."""
    text = orjson.dumps(dict(sorted(labels)))
    return b'{"stream":' + _SHORT_ESCAPE.sub(_lengthened, text) + b',"values":['


def has_short_escapes(text: bytes) -> bool:
    """Return whether `text` holds U+0008 or U+000C."""
    return b"\b" in text or b"\f" in text


def _lengthened(escape: re.Match[bytes]) -> bytes:
    return _LONG_ESCAPES.get(escape[1], escape[0])
