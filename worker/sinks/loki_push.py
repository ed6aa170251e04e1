"""The body of a Loki push: stamps and lines as one JSON text. Pure. Source: docs/sinks.md, "Loki"."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

_SHORT_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_LONG_ESCAPES: Final = {b"b": b"\\u0008", b"f": b"\\u000c"}

Stream = tuple[Mapping[str, str], Sequence[str], Sequence[str]]
"""Labels, stamps (ns since the epoch, in digits) and lines of one stream."""


def stamp_texts(stamps_ns: NDArray[np.int64]) -> list[str]:
    """Return int64[n] nanoseconds as digits; an instant before the epoch is 0."""
    # PERF: one C call and one split take half the time of a str() for every stamp.
    return msgspec.json.encode(np.maximum(stamps_ns, 0).tolist()).decode()[1:-1].split(",")


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
    """Return the compact JSON of one push; labels are sorted by key, streams and entries stay in order.

    Args:
        streams: what to push.
        spelled_out: whether U+0008 or U+000C may occur. They are written in the long form, not by JSON's short escapes.
    """
    push: dict[str, Any] = {
        "streams": [
            {"stream": dict(sorted(labels.items())), "values": list(zip(stamps, lines, strict=True))}
            for labels, stamps, lines in streams
        ]
    }
    body = msgspec.json.encode(push)
    return _SHORT_ESCAPE.sub(_lengthened, body) if spelled_out else body


def has_short_escapes(text: str | bytes) -> bool:
    """Return whether `text` holds U+0008 or U+000C."""
    return ("\b" in text or "\f" in text) if isinstance(text, str) else (b"\b" in text or b"\f" in text)


def _lengthened(escape: re.Match[bytes]) -> bytes:
    return _LONG_ESCAPES.get(escape[1], escape[0])
