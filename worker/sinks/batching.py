"""When a buffer of events becomes one request: by size or by age, always on an event boundary. Pure.

::

    batches    |e e e e e e|e e e|e e e e e e e|
    buffer      ───────►due ─────────►due ─────►
    requests   |e e e e    |e e e e e    |…            the event that makes the buffer due is part of the request

A run is cut at the same events as if each had been written by itself at the instant its batch was: a batch costs one
look at its event boundaries and one binary search for every request in it, not one step an event.

Source: sinks contract, section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from worker.batch import Batch, Encoded

MAX_BUFFERED_BYTES: Final = 64 * 1024 * 1024
"""What is sent whatever `batch_size` says: a worker's memory is bounded, and no receiver takes more at once."""

_NO_ENDS: Final = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Batching:
    """What makes a buffer due.

    Attributes:
        limit: how much is enough; with 0 or 1 every event is a request.
        unit: what `limit` counts.
        max_age_ns: how long after the last flush the next event is not waited for any longer; 0 never.
    """

    limit: int
    unit: Literal["bytes", "events"]
    max_age_ns: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive events of one batch, waiting to be sent.

    Attributes:
        batch: the batch they belong to.
        first: index of the first of them in it.
        events: how many there are.
        payload: their bytes.
        written_ns: when they were written, wall clock, ns since the epoch.
    """

    batch: Batch
    first: int
    events: int
    payload: bytes
    written_ns: int


@dataclass(frozen=True, slots=True)
class Added:
    """What one step took of a batch.

    Attributes:
        stop: index behind the last event taken.
        payload_bytes: bytes of all events taken.
        last_bytes: bytes of the last of them; 0 when the buffer is not due.
        due: whether the buffer is to be sent now.
    """

    stop: int
    payload_bytes: int
    last_bytes: int
    due: bool


class BatchBuffer:
    """Events on their way into one request.

    Args:
        batching: what makes the buffer due.
        now_ns: the instant of construction, monotonic; ages are measured from the last flush or from here.
    """

    def __init__(self, batching: Batching, now_ns: int) -> None:
        self._batching = batching
        self._flushed_ns = now_ns
        self._pieces: list[Piece] = []
        self._events = 0
        self._bytes = 0
        self._encoded: Encoded | None = None
        self._ends: NDArray[np.int64] = _NO_ENDS

    def __bool__(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._pieces)

    def add(self, batch: Batch, encoded: Encoded, first: int, now_ns: int, written_ns: int) -> Added:
        """Take events of a batch from index `first` on, up to the one that makes the buffer due or to the last.

        Args:
            batch: what was encoded.
            encoded: its events, of which some are left.
            first: index of the first event to take; the one behind the last taken before, or 0.
            now_ns: the instant of writing on the monotonic clock.
            written_ns: the same instant on the wall clock, ns since the epoch.
        """
        stop = self._due_at(encoded, first, now_ns)
        due = stop is not None
        if stop is None:
            stop = encoded.events
        begin = self._end_of(encoded, first - 1)
        end = self._end_of(encoded, stop - 1)
        payload = encoded.payload if end - begin == len(encoded.payload) else encoded.payload[begin:end]
        self._pieces.append(Piece(batch, first, stop - first, payload, written_ns))
        self._events += stop - first
        self._bytes += len(payload)
        return Added(stop, len(payload), end - self._end_of(encoded, stop - 2) if due else 0, due)

    def take(self, now_ns: int) -> Sequence[Piece]:
        """Empty the buffer for a flush that begins at `now_ns` (monotonic)."""
        pieces, self._pieces = self._pieces, []
        self._events = 0
        self._bytes = 0
        self._flushed_ns = now_ns
        return pieces

    def _due_at(self, encoded: Encoded, first: int, now_ns: int) -> int | None:
        """Return the index behind the event that makes the buffer due, or None when none of the batch does."""
        batching = self._batching
        if batching.max_age_ns and now_ns - self._flushed_ns >= batching.max_age_ns:
            return first + 1
        begin = self._end_of(encoded, first - 1)
        rest_bytes = len(encoded.payload) - begin
        if batching.unit == "events":
            missing = max(batching.limit - self._events, 1)
            if missing <= encoded.events - first:
                return first + missing
        else:
            missing = max(batching.limit - self._bytes, 1)
            if missing <= rest_bytes:
                return int(np.searchsorted(self._ends_of(encoded), begin + missing)) + 1
        return encoded.events if self._bytes + rest_bytes >= MAX_BUFFERED_BYTES else None

    def _end_of(self, encoded: Encoded, event: int) -> int:
        """Return the offset behind event `event`; -1 is the one before the first."""
        if event < 0:
            return 0
        if event == encoded.events - 1:
            return len(encoded.payload)
        return int(self._ends_of(encoded)[event])

    def _ends_of(self, encoded: Encoded) -> NDArray[np.int64]:
        if encoded is not self._encoded:
            self._encoded = encoded
            self._ends = encoded.ends()
        return self._ends
