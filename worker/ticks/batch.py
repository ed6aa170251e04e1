"""The batch: the unit of work between schedule, generator, encoder and sink.

A batch is a run of consecutive ticks with one set of active label spikes, so a batch of one and a batch of a thousand
are encoded by the same code, and however a run is cut into batches the bytes are the same.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

BATCH_EVENTS = 4096
"""Upper bound of events in a batch."""

USUAL_BATCH_EVENTS = 1024
"""Upper bound where a batch is one write.

PERF: about a thousand events keep values, texts and payload in the processor's cache; ten times as many were measured
to be half as fast.
"""

_LONGEST_NS = 1e18
_LONG_TEXT_BYTES = 16 * 1024


class TickBefore(msgspec.Struct, frozen=True, eq=False):
    """The tick before the first of a batch.

    Attributes:
        values: its row, as in `Batch.values`; zeros before the first tick of all.
        stamp_ns: when it is scheduled, silent or not, in ns since the epoch.
    """

    values: NDArray[Any]
    stamp_ns: int


class Batch(msgspec.Struct, frozen=True, eq=False):
    """Consecutive ticks, ready to be encoded.

    Attributes:
        first_tick: number of the first tick.
        values: a row per tick: float64[n] for metrics, float64[n, series] for histogram and summary, int32[n, choices]
            for logs (see `worker/generators/log_template.py` and `log_replay.py`).
        stamps_ns: int64[n], scheduled instants in ns since the epoch, never decreasing.
        spike_mask: the label spikes active at all of these ticks, bit i for `cardinality_spikes[i]`.
        start_ns: the stamp that stands for the entry's start, in ns since the epoch; 0 where nobody knows it.
        ticks: int64[n], the numbers of the ticks in a part of a batch, which are not consecutive; None in a whole one.
        before: the tick before; None where nobody asks for it, or knows it.
    """

    first_tick: int
    values: NDArray[Any]
    stamps_ns: NDArray[np.int64]
    spike_mask: int = 0
    start_ns: int = 0
    ticks: NDArray[np.int64] | None = None
    before: TickBefore | None = None

    def __len__(self) -> int:
        return len(self.values)

    def counting_since_ns(self, rate: float) -> int:
        """Return from when on counters count: one interval of `rate` before the entry's start; 0 where unknown."""
        return max(self.start_ns - int(min(1e9 / rate, _LONGEST_NS)), 0)

    def part(self, start: int, stop: int) -> "Batch":
        """Return some of these ticks."""
        return Batch(
            self.first_tick + start,
            self.values[start:stop],
            self.stamps_ns[start:stop],
            self.spike_mask,
            self.start_ns,
        )

    def tick(self, index: int) -> int:
        """Return the number of a tick."""
        return self.first_tick + index if self.ticks is None else int(self.ticks[index])

    def only(self, indexes: NDArray[np.int64]) -> "Batch":
        """Return a part: int64[m] indexes of this batch's ticks, ascending."""
        ticks = self.first_tick + indexes
        return Batch(
            int(ticks[0]), self.values[indexes], self.stamps_ns[indexes], self.spike_mask, self.start_ns, ticks
        )


def line_ends(payload: bytes | memoryview) -> NDArray[np.int64]:
    """Return the offset behind each line feed."""
    return np.flatnonzero(np.frombuffer(payload, dtype=np.uint8) == ord("\n")) + 1


def line_count(payload: bytes, start: int, stop: int) -> int:
    """Return how many line feeds lie in `payload[start:stop]`.

    PERF: `bytes.count` looks at one byte after the other; numpy looks at many, which long texts make worth its calls.
    """
    if stop - start < _LONG_TEXT_BYTES:
        return payload.count(b"\n", start, stop)
    return int(np.count_nonzero(np.frombuffer(payload, np.uint8, stop - start, start) == ord("\n")))


class Encoded(msgspec.Struct, frozen=True, eq=False):
    """The bytes of a batch, events back to back.

    Attributes:
        payload: all events.
        events: how many there are; one per tick.
        records_per_event: how many records each event has; a record is what an encoder writes at a time, a line of text
            or a message of bytes.
        known_ends: int64[events * records_per_event], the offset behind each record, where line feeds do not tell:
            None when every record ends with its only line feed.
    """

    payload: bytes
    events: int
    records_per_event: int = 1
    known_ends: NDArray[np.int64] | None = None

    def record_ends(self) -> NDArray[np.int64]:
        """Return int64[events * records_per_event]: the offset behind each record."""
        if self.known_ends is not None:
            return self.known_ends
        return line_ends(self.payload)

    def ends(self) -> NDArray[np.int64]:
        """Return int64[events]: the offset behind each event, for sinks that need event boundaries."""
        return self.record_ends()[self.records_per_event - 1 :: self.records_per_event]

    def whole(self, sent_bytes: int) -> int:
        """Return how many of the first `sent_bytes` belong to events that lie in them whole."""
        ends = self.ends()
        events = int(np.searchsorted(ends, sent_bytes, side="right"))
        return int(ends[events - 1]) if events else 0

    def behind(self, events: int) -> "Encoded":
        """Return what is left without the first `events`."""
        if events == 0:
            return self
        start = int(self.ends()[events - 1])
        ends = self.known_ends
        rest = None if ends is None else ends[events * self.records_per_event :] - start
        return Encoded(self.payload[start:], self.events - events, self.records_per_event, rest)

    def only(self, indexes: NDArray[np.int64]) -> "Encoded":
        """Return a part: int64[m] indexes of events, ascending."""
        ends = self.ends()
        starts = np.concatenate(([0], ends[:-1]))
        bounds = zip(starts[indexes].tolist(), ends[indexes].tolist(), strict=True)
        payload = b"".join([self.payload[start:end] for start, end in bounds])
        known = self.known_ends
        if known is not None:
            sizes = np.diff(known, prepend=0).reshape(-1, self.records_per_event)[indexes]
            known = np.cumsum(sizes.reshape(-1))
        return Encoded(payload, len(indexes), self.records_per_event, known)
