"""When a buffer of records becomes one request: by size or by age, always on a record boundary. Pure.

::

    batches    |r r r r r r|r r r|r r r r r r r|
    buffer      ───────►due ─────────►due ─────►
    requests   |r r r r    |r r r r r    |…            the record that makes the buffer due is part of the request

A record is what an encoder writes at a time, be it a line of text or a message of bytes: an event has one, or a fixed
number of them. A run is cut at the same records as if each had been written by itself at the instant its batch was: a
batch costs one look at its record boundaries and one binary search for every request in it, not one step a record.

Source: docs/sinks.md, "When a request is sent".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from worker.ticks.batch import Batch, Encoded, line_ends

MAX_BUFFERED_BYTES: Final = 16 * 1024 * 1024
"""What is sent whatever `batch_size` says, so that memory is bounded; receivers rarely take as much at once."""

_NO_ENDS: Final = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Batching:
    """What makes a buffer due.

    Attributes:
        limit: how much is enough; with 0 or 1 every record is a request.
        unit: what `limit` counts.
        max_age_ns: how long after the last flush the next record is not waited for any longer; 0 never.
    """

    limit: int
    unit: Literal["bytes", "records"]
    max_age_ns: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive records of one batch, waiting to be sent.

    Attributes:
        batch: the batch they belong to.
        first_record: index of the first of them in it.
        records: how many there are.
        payload: their bytes; a view where the batch has more of them.
        ends: int64[records], the offset behind each record in `payload`; None when every record ends with its only
            line feed.
        written_ns: when they were written, wall clock, ns since the epoch.
        records_per_event: how many each event has.
    """

    batch: Batch
    first_record: int
    records: int
    payload: bytes | memoryview
    ends: NDArray[np.int64] | None
    written_ns: int
    records_per_event: int = 1

    def record_ends(self) -> NDArray[np.int64]:
        """Return int64[records]: the offset behind each record in `payload`."""
        return line_ends(self.payload) if self.ends is None else self.ends

    @property
    def first_tick(self) -> int:
        """Tick of the first record."""
        return self.batch.first_tick + self.first_record // self.records_per_event

    @property
    def last_tick(self) -> int:
        """Tick of the last record."""
        return self.batch.first_tick + (self.first_record + self.records - 1) // self.records_per_event


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a destination will never take.

    Attributes:
        words: what it said.
        records: how many of the request's records; None for all of them.
    """

    words: str
    records: int | None = None


class BatchBuffer:
    """Lines on their way into one request.

    Args:
        batching: what makes the buffer due.
        now_ns: the instant of construction, monotonic; ages are measured from the last flush or from here.

    Attributes:
        is_due: whether what was added last is to be sent now.
    """

    def __init__(self, batching: Batching, now_ns: int) -> None:
        self.is_due = False
        self._batching = batching
        self._flushed_ns = now_ns
        self._pieces: list[Piece] = []
        self._records = 0
        self._bytes = 0
        self._encoded: Encoded | None = None
        self._ends: NDArray[np.int64] = _NO_ENDS

    def __bool__(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._pieces)

    def add(self, batch: Batch, encoded: Encoded, first: int, now_ns: int, written_ns: int) -> int:
        """Take records of a batch from index `first` on, up to the one that makes the buffer due or to the last.

        Args:
            batch: what was encoded.
            encoded: its records, of which some are left.
            first: index of the first record to take; every earlier one was taken or given up.
            now_ns: the instant of writing on the monotonic clock.
            written_ns: the same instant on the wall clock, ns since the epoch.

        Returns:
            The index behind the last record taken.
        """
        stop = self._due_at(encoded, first, now_ns)
        self.is_due = stop is not None
        if stop is None:
            stop = encoded.events * encoded.records_per_event
        begin, end = self.offset(encoded, first), self.offset(encoded, stop)
        whole = end - begin == len(encoded.payload)
        payload = encoded.payload if whole else memoryview(encoded.payload)[begin:end]
        known = encoded.known_ends
        ends = None if known is None else known[first:stop] - begin
        self._pieces.append(Piece(batch, first, stop - first, payload, ends, written_ns, encoded.records_per_event))
        self._records += stop - first
        self._bytes += len(payload)
        return stop

    def take(self, now_ns: int) -> Sequence[Piece]:
        """Empty the buffer for a flush that begins at `now_ns` (monotonic)."""
        pieces, self._pieces = self._pieces, []
        self._records = 0
        self._bytes = 0
        self._flushed_ns = now_ns
        return pieces

    def offset(self, encoded: Encoded, record: int) -> int:
        """Return where a record of `encoded` begins in its payload; the number of records gives the payload's end."""
        if record == 0:
            return 0
        if record == encoded.events * encoded.records_per_event:
            return len(encoded.payload)
        return int(self._ends_of(encoded)[record - 1])

    def _due_at(self, encoded: Encoded, first: int, now_ns: int) -> int | None:
        """Return the index behind the record that makes the buffer due, or None when none of the batch does."""
        batching = self._batching
        if batching.max_age_ns and now_ns - self._flushed_ns >= batching.max_age_ns:
            return first + 1
        records = encoded.events * encoded.records_per_event
        begin = self.offset(encoded, first)
        rest_bytes = len(encoded.payload) - begin
        if batching.unit == "records":
            missing = max(batching.limit - self._records, 1)
            if missing <= records - first:
                return first + missing
        else:
            missing = max(batching.limit - self._bytes, 1)
            if missing <= rest_bytes:
                return int(np.searchsorted(self._ends_of(encoded), begin + missing)) + 1
        return records if self._bytes + rest_bytes >= MAX_BUFFERED_BYTES else None

    def _ends_of(self, encoded: Encoded) -> NDArray[np.int64]:
        if encoded is not self._encoded:
            self._encoded = encoded
            self._ends = encoded.record_ends()
        return self._ends
