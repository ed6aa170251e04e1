"""The body of a Loki push: stamps and lines as one JSON text. Pure. Source: docs/sinks.md, "Loki"."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.labels import Labels
from common.numbers import json_column

_SHORT_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_LONG_ESCAPES: Final = {b"b": b"\\u0008", b"f": b"\\u000c"}

Stream = tuple[Labels, Sequence[str], Sequence[str]]
"""Labels, stamps (ns since the epoch, in digits) and lines of one stream."""


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


def push_body(streams: Iterable[Stream], *, spelled_out: bool) -> bytes:
    """Return the compact JSON of one push; streams and entries stay in order.

    Args:
        streams: what to push.
        spelled_out: whether U+0008 or U+000C may occur in lines. They are written in the long form, not by JSON's short
            escapes.
    """
    parts = [b'{"streams":[']
    for labels, stamps, lines in streams:
        values = msgspec.json.encode(list(zip(stamps, lines, strict=True)))
        parts += _stream_text(labels), _SHORT_ESCAPE.sub(_lengthened, values) if spelled_out else values, b"},"
    parts[-1] = b"}]}"
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _stream_text(labels: Labels) -> bytes:
    """Return how a stream begins, its labels sorted by key."""
    text = msgspec.json.encode(dict(sorted(labels)))
    return b'{"stream":' + _SHORT_ESCAPE.sub(_lengthened, text) + b',"values":'


def has_short_escapes(text: bytes) -> bool:
    """Return whether `text` holds U+0008 or U+000C."""
    return b"\b" in text or b"\f" in text


def _lengthened(escape: re.Match[bytes]) -> bytes:
    return _LONG_ESCAPES.get(escape[1], escape[0])
