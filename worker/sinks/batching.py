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

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.ticks.batch import Batch, Encoded, line_count, line_ends

MAX_BUFFERED_BYTES: Final = 16 * 1024 * 1024
"""What is sent whatever `batch_size` says, so that memory is bounded; receivers rarely take as much at once."""

_LONGEST_PERIOD: Final = 2**62


@dataclass(frozen=True, slots=True)
class Batching:
    """What makes a buffer due.

    Attributes:
        limit: how much is enough; with 0 or 1 every record is a request.
        unit: what `limit` counts.
        max_age_ns: how long after the last flush the next record is not waited for any longer; 0 never.
        whole_events: whether a request ends with the last record of an event.
    """

    limit: int
    unit: Literal["bytes", "records"]
    max_age_ns: int
    whole_events: bool = False


class Piece(msgspec.Struct, frozen=True, eq=False):
    """Consecutive records of one batch, waiting to be sent.

    Attributes:
        batch: the batch they belong to.
        encoded: all records of that batch.
        first_record: index of the first of them in it.
        records: how many there are.
        payload: their bytes; a view where the batch has more of them.
        written_ns: when they were written, wall clock, ns since the epoch.
    """

    batch: Batch
    encoded: Encoded
    first_record: int
    records: int
    payload: bytes | memoryview
    written_ns: int

    @property
    def records_per_event(self) -> int:
        """How many records each event has."""
        return self.encoded.records_per_event

    @property
    def ends(self) -> NDArray[np.int64] | None:
        """int64[records], the offset behind each record in `payload`; None as of `Encoded.known_ends`."""
        known, first = self.encoded.known_ends, self.first_record
        if known is None:
            return None
        begin = known.item(first - 1) if first else 0
        return known[first : first + self.records] - begin

    def record_ends(self) -> NDArray[np.int64]:
        """Return int64[records]: the offset behind each record in `payload`."""
        return line_ends(self.payload) if self.ends is None else self.ends

    @property
    def first_tick(self) -> int:
        """Tick of the first record."""
        return self.batch.tick(self.first_record // self.records_per_event)

    def events_behind(self, tick: int) -> tuple[int, int]:
        """Return how many events the records belong to, less those of ticks up to `tick`, and the later last tick."""
        batch, first, per_event = self.batch, self.first_record, self.encoded.records_per_event
        last = (first + self.records - 1) // per_event
        if batch.ticks is None:
            last_tick = batch.first_tick + last
            if last_tick <= tick:
                return 0, tick
            return last_tick - max(batch.first_tick + first // per_event - 1, tick), last_tick
        ticks = batch.ticks[first // per_event : last + 1]
        return int(np.count_nonzero(ticks > tick)), max(batch.tick(last), tick)

    def recurs_after(self, period: int) -> int:
        """Return after how many events of these something recurs that recurs after `period` ticks."""
        if self.batch.ticks is None:
            return period
        # A part of a batch has some of the ticks of every period, always the same ones.
        first, last = self.first_record, self.first_record + self.records - 1
        ticks = self.batch.ticks[first // self.records_per_event : last // self.records_per_event + 1]
        return len(np.unique(ticks % min(period, _LONGEST_PERIOD)))


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
        is_due: whether what was added last makes what is there a request.
    """

    def __init__(self, batching: Batching, now_ns: int) -> None:
        self.is_due = False
        self._batching = batching
        self._flushed_ns = now_ns
        self._pieces: list[Piece] = []
        self._records = 0
        self._bytes = 0
        self._encoded: Encoded | None = None
        self._ends: NDArray[np.int64] | None = None
        # Where the next record begins that is to be taken, nearly always.
        self._record = self._offset = 0

    def __bool__(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._pieces)

    @property
    def first_tick(self) -> int | None:
        """The tick of the first record that waits; None when none does."""
        return self._pieces[0].first_tick if self._pieces else None

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
        begin = self._offset if encoded is self._encoded and first == self._record else self.offset(encoded, first)
        stop = self._due_at(encoded, first, begin, now_ns)
        self.is_due = stop is not None
        if stop is not None and self._batching.whole_events:
            stop += -stop % encoded.records_per_event
        if stop is None:
            stop = encoded.events * encoded.records_per_event
        end = self._offset if stop == self._record else self.offset(encoded, stop)
        self._record, self._offset = stop, end
        whole = end - begin == len(encoded.payload)
        payload = encoded.payload if whole else memoryview(encoded.payload)[begin:end]
        self._pieces.append(Piece(batch, encoded, first, stop - first, payload, written_ns))
        self._records += stop - first
        self._bytes += len(payload)
        return stop

    def take(self, now_ns: int) -> Sequence[Piece]:
        """Empty the buffer for a flush that begins at `now_ns` (monotonic)."""
        pieces, self._pieces = self._pieces, []
        self.is_due = False
        self._records = 0
        self._bytes = 0
        self._flushed_ns = now_ns
        return pieces

    def offset(self, encoded: Encoded, record: int) -> int:
        """Return where a record of `encoded` begins in its payload; the number of records gives the payload's end."""
        if encoded is not self._encoded:
            self._encoded, self._ends = encoded, None
            self._record = self._offset = 0
        if record == self._record:
            return self._offset
        if record == encoded.events * encoded.records_per_event:
            return len(encoded.payload)
        if record + 1 == self._record and encoded.known_ends is None:
            return encoded.payload.rfind(b"\n", 0, self._offset - 1) + 1
        if self._ends is None:
            self._ends = encoded.record_ends()
        return self._ends.item(record - 1) if record else 0

    def _due_at(self, encoded: Encoded, first: int, begin: int, now_ns: int) -> int | None:
        """Return the index behind the record that makes the buffer due, or None when none of the batch does."""
        batching = self._batching
        if batching.max_age_ns and now_ns - self._flushed_ns >= batching.max_age_ns:
            return first + 1
        records = encoded.events * encoded.records_per_event
        rest_bytes = len(encoded.payload) - begin
        if batching.unit == "records":
            missing = max(batching.limit - self._records, 1)
            if missing <= records - first:
                return first + missing
        else:
            missing = max(batching.limit - self._bytes, 1)
            if missing <= rest_bytes:
                if encoded.known_ends is not None:
                    return int(np.searchsorted(encoded.known_ends, begin + missing)) + 1
                # PERF: finding the ends of all records was measured to take a tenth of what encoding does.
                self._offset = encoded.payload.find(b"\n", begin + missing - 1) + 1
                self._record = first + line_count(encoded.payload, begin, self._offset)
                return self._record
        return records if self._bytes + rest_bytes >= MAX_BUFFERED_BYTES else None
