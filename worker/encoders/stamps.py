"""Timestamps of a batch, cut into runs of ticks that print the same one.

At high rates a batch lies within a millisecond or two, and the timestamp is a constant part of its lines; at low
rates every tick has its own.

Source: docs/formats.md, "Timestamps".
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.errors import EncoderError
from common.numbers import json_column
from worker.encoders.lines import Cells, Joined, LinePiece

StampRun = tuple[int, int, LinePiece]
"""Start and stop within the batch, and the timestamp of these ticks."""

_NS_PER_MS: Final = 1_000_000
_MIN_RUN_LINES: Final = 16
"""PERF: with fewer lines a run, cells for single lines are cheaper than one assembly a run."""


def millisecond_runs(
    stamps_ns: NDArray[np.int64], text: Callable[[int], bytes], lines_per_event: int = 1
) -> list[StampRun]:
    """Return the runs of a batch whose format prints milliseconds.

    Args:
        stamps_ns: int64[n], ns since the epoch, never decreasing.
        text: milliseconds since the epoch to what is printed.
        lines_per_event: how many lines print the stamp of each event.

    Raises:
        EncoderError: a stamp lies before the epoch.
    """
    count = len(stamps_ns)
    first_ms = stamps_ns.item(0) // _NS_PER_MS
    last_ms = stamps_ns.item(-1) // _NS_PER_MS
    _check_epoch(first_ms)
    if first_ms == last_ms:
        return [(0, count, text(first_ms))]
    if count * lines_per_event < _MIN_RUN_LINES * (last_ms - first_ms):
        texts = [text(stamp_ns // _NS_PER_MS) for stamp_ns in stamps_ns.tolist()]
        return [(0, count, Cells(texts if lines_per_event == 1 else _repeated(texts, lines_per_event)))]
    edges = np.searchsorted(stamps_ns, np.arange(first_ms + 1, last_ms + 1) * _NS_PER_MS).tolist()
    starts = [0, *edges]
    stops = [*edges, count]
    return [
        (start, stop, text(stamp_ms))
        for stamp_ms, (start, stop) in enumerate(zip(starts, stops, strict=True), start=first_ms)
        if start < stop
    ]


def _repeated(texts: list[bytes], times: int) -> list[bytes]:
    repeated = [b""] * (times * len(texts))
    for place in range(times):
        repeated[place::times] = texts
    return repeated


def nanoseconds(stamps_ns: NDArray[np.int64], lines_per_event: int) -> LinePiece:
    """Return the stamps of a batch in decimal nanoseconds, one per line.

    Raises:
        EncoderError: a stamp lies before the epoch.
    """
    _check_epoch(stamps_ns.item(0))
    if len(stamps_ns) == 1:
        return decimal(stamps_ns.item())
    return Joined(json_column(np.repeat(stamps_ns, lines_per_event)))


def _check_epoch(first_stamp: int) -> None:
    if first_stamp < 0:
        raise EncoderError("timestamp before Unix epoch")


def decimal(stamp: int) -> bytes:
    """Return `stamp` in decimal."""
    return b"%d" % stamp


def rfc3339(stamp_ms: int) -> bytes:
    """Return `YYYY-MM-DDTHH:MM:SS.mmmZ`, 24 bytes."""
    seconds, milliseconds = divmod(stamp_ms, 1000)
    return b"%b.%03dZ" % (_second(seconds), milliseconds)


@lru_cache(maxsize=8)
def _second(seconds: int) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
