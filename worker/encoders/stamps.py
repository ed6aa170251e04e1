"""Timestamps of a batch, cut into runs of ticks that print the same one.

At high rates a batch lies within a millisecond or two, and the timestamp is a constant part of its lines; at low
rates every tick has its own.

Source: encoder contract, section 5.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.errors import EncoderError
from worker.encoders.lines import Cells, Piece

Run = tuple[int, int, Piece]
"""Start and stop within the batch, and the timestamp of these ticks."""

_NS_PER_MS: Final = 1_000_000
_MIN_RUN_LINES: Final = 16
"""PERF: with fewer lines a run, cells for single lines are cheaper than one assembly a run."""


def millisecond_runs(stamps_ns: NDArray[np.int64], text: Callable[[int], bytes]) -> list[Run]:
    """Return the runs of a batch whose format prints milliseconds.

    Args:
        stamps_ns: int64[n], ns since the epoch, never decreasing.
        text: milliseconds since the epoch to what is printed.

    Raises:
        EncoderError: a stamp lies before the epoch.
    """
    count = len(stamps_ns)
    first_ms = stamps_ns.item(0) // _NS_PER_MS
    last_ms = stamps_ns.item(-1) // _NS_PER_MS
    if first_ms < 0:
        raise EncoderError("timestamp before Unix epoch")
    if first_ms == last_ms:
        return [(0, count, text(first_ms))]
    if count < _MIN_RUN_LINES * (last_ms - first_ms):
        return [(0, count, Cells([text(stamp_ms) for stamp_ms in (stamps_ns // _NS_PER_MS).tolist()]))]
    edges = np.searchsorted(stamps_ns, np.arange(first_ms + 1, last_ms + 1) * _NS_PER_MS).tolist()
    starts = [0, *edges]
    stops = [*edges, count]
    return [
        (start, stop, text(stamp_ms))
        for stamp_ms, (start, stop) in enumerate(zip(starts, stops, strict=True), start=first_ms)
        if start < stop
    ]


def decimal(stamp_ms: int) -> bytes:
    """Return `stamp_ms` in decimal."""
    return b"%d" % stamp_ms


def rfc3339(stamp_ms: int) -> bytes:
    """Return `YYYY-MM-DDTHH:MM:SS.mmmZ`, 24 bytes."""
    seconds, milliseconds = divmod(stamp_ms, 1000)
    return b"%b.%03dZ" % (_second(seconds), milliseconds)


@lru_cache(maxsize=8)
def _second(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
