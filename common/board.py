"""The board: what workers show of themselves, in anonymous shared memory.

One memory file without a name (nothing is left behind, however the processes die), one row per scenario, one writer
per row. Readers take no lock and send no message, so a worker that hangs in a sink can still be watched.

::

    page 0      header: slack_ns u64, written by the supervisor, read by every worker
    row 0       cells  64 × 8 bytes   the record of counters.py, guarded by a sequence number (odd while being written)
                text   1024 bytes     last sink error, UTF-8, length in a cell
                gate   2 × 8 bytes    when the first value was published u64, the newest one f64: see gate_cell.py
                text   448 bytes      last rejection, UTF-8, length in a cell
                late   2 seconds      how late ticks were fired: see lateness.py
                ring   RING_SLOTS records of 32 bytes: tick u64, stamp_ns i64, value f64, series u64
                values CURRENT_SLOTS  the newest value of each series: see current.py
    row 1       …                     every row starts on a page, so that a worker maps its own row alone

The ring has two counters: `reserved` moves before slots are overwritten, `committed` after. Sample number s lies in
slot s mod RING_SLOTS, and is whole as long as `reserved` has not passed s + RING_SLOTS. `series` holds the index of
the sample within its tick in the low 32 bits, and the active label spikes as one bit each in the high 32.
"""

import mmap
import os
import struct
import time
import weakref
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.counters import Counters, read_record, write_record

RECENT_SAMPLES: Final = 1000
"""Newest samples that a scrape can get. Source: docs/http.md, "Scrape one"."""

RING_SLOTS: Final = 1024
ERROR_TEXT_BYTES: Final = 1024
PAGE_BYTES: Final = mmap.PAGESIZE
GATE_CELL_OFFSET: Final = 1536
REJECTION_TEXT_BYTES: Final = 448
LATENESS_OFFSET: Final = 2048
CURRENT_SLOTS: Final = 65_536
CURRENT_SLOT_BYTES: Final = 9

_CELL_BYTES: Final = 512
_RING_OFFSET: Final = PAGE_BYTES
_SAMPLE: Final = struct.Struct("=QqdQ")
SAMPLE_BYTES: Final = _SAMPLE.size
_RING_BYTES: Final = RING_SLOTS * SAMPLE_BYTES
CURRENT_OFFSET: Final = _RING_OFFSET + _RING_BYTES
ROW_BYTES: Final = -(-(CURRENT_OFFSET + CURRENT_SLOTS * CURRENT_SLOT_BYTES) // PAGE_BYTES) * PAGE_BYTES

# Cell 0 is a sequence number that guards the record behind it and both texts.
_RECORD_OFFSET: Final = 8
_TEXT_OFFSET: Final = _CELL_BYTES
_REJECTION_OFFSET: Final = LATENESS_OFFSET - REJECTION_TEXT_BYTES
_RESERVED_CELL: Final = 60
_COMMITTED_CELL: Final = 61
CURRENT_SEQUENCE_CELL: Final = 62
_READ_ATTEMPTS: Final = 200
_RING_ATTEMPTS: Final = 20
_RING_RETRY_SECS: Final = 0.0005


class Recent(msgspec.Struct):
    """Samples taken from a ring, oldest first; all arrays have the same length.

    Attributes:
        position: where the next read starts.
        ticks: uint64[n].
        stamps_ns: int64[n], ns since the epoch.
        values: float64[n].
        series: uint64[n], see the module's picture.
    """

    position: int
    ticks: NDArray[np.uint64]
    stamps_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    series: NDArray[np.uint64]

    def without_oldest(self, count: int) -> "Recent":
        """Return these samples without the `count` oldest; the position stays."""
        return Recent(
            position=self.position,
            ticks=self.ticks[count:],
            stamps_ns=self.stamps_ns[count:],
            values=self.values[count:],
            series=self.series[count:],
        )


class _Text:
    """A text of a row. Its mark, which stands in a cell, is its length and one, or 0 for none.

    Args:
        view: its room.
    """

    __slots__ = ("_mark", "_shown", "_view")

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._shown: str | None = None
        self._mark = 0

    def put(self, text: str | None) -> int:
        """Write `text`, cut at the room's end; return its mark."""
        if text is not self._shown:
            self._shown = text
            cut = truncated_utf8(text or "", len(self._view))
            self._view[: len(cut)] = cut
            self._mark = 0 if text is None else len(cut) + 1
        return self._mark

    def get(self, mark: int) -> str | None:
        """Return the text of a mark."""
        return bytes(self._view[: mark - 1]).decode(errors="replace") if mark else None


class Row:
    """One row, seen by its writer or by a reader.

    Args:
        view: exactly ROW_BYTES of shared memory.

    Attributes:
        view: the same.
    """

    __slots__ = (
        "_cells",
        "_committed",
        "_error",
        "_rejection",
        "_ring",
        "view",
    )

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self._cells = view[:_CELL_BYTES].cast("Q")
        self._error = _Text(view[_TEXT_OFFSET : _TEXT_OFFSET + ERROR_TEXT_BYTES])
        self._rejection = _Text(view[_REJECTION_OFFSET : _REJECTION_OFFSET + REJECTION_TEXT_BYTES])
        self._ring = view[_RING_OFFSET : _RING_OFFSET + _RING_BYTES]
        self._committed = int(self._cells[_COMMITTED_CELL])

    def publish(self, counters: Counters) -> None:
        """Show `counters`; only the row's writer may call this."""
        sequence = self._cells[0] | 1
        self._cells[0] = sequence
        error_mark = self._error.put(counters.last_sink_error)
        rejection_mark = self._rejection.put(counters.last_rejection)
        write_record(self.view, _RECORD_OFFSET, counters, error_mark, rejection_mark)
        self._cells[0] = sequence + 1

    def read(self) -> Counters:
        """Return one consistent state of the counters; never waits for the writer.

        A writer that was killed in the middle leaves an odd sequence number: after a bounded number of attempts what
        is there is returned.
        """
        for _ in range(_READ_ATTEMPTS):
            before = self._cells[0]
            counters, error_mark, rejection_mark = read_record(self.view, _RECORD_OFFSET)
            error, rejection = self._error.get(error_mark), self._rejection.get(rejection_mark)
            if before == self._cells[0] and not before & 1:
                break
        counters.last_sink_error, counters.last_rejection = error, rejection
        return counters

    def append_samples(
        self,
        first_tick: int,
        stamps_ns: NDArray[np.int64],
        values: NDArray[np.float64],
        spike_mask: int = 0,
    ) -> None:
        """Add the samples of consecutive ticks; only the row's writer may call this.

        Args:
            first_tick: number of the first tick.
            stamps_ns: int64[n], ns since the epoch.
            values: float64[n], a sample per tick, or float64[n, series].
            spike_mask: the label spikes active at all of these ticks, one bit each.
        """
        if values.size == 1:
            self._append_sample(first_tick, stamps_ns.item(), values.item(), spike_mask)
            return
        newest = -(-RECENT_SAMPLES // max(values[:1].size, 1))
        skipped = max(len(values) - newest, 0)
        records = samples_of(first_tick + skipped, stamps_ns[skipped:], values[skipped:], spike_mask)
        self.append_records(records[-RECENT_SAMPLES * SAMPLE_BYTES :], values.size)

    def skip(self, samples: int) -> None:
        """Leave out samples that the next ones replace: they are counted with those, and never shown."""
        self._committed += samples

    def append_records(self, records: memoryview, samples: int) -> None:
        """Add samples as `samples_of` makes them; only the row's writer may call this.

        Args:
            records: the newest of them, at most RING_SLOTS.
            samples: how many there are.
        """
        end = self._committed + samples
        self._cells[_RESERVED_CELL] = end
        start = (end * SAMPLE_BYTES - len(records)) % _RING_BYTES
        room = _RING_BYTES - start
        if len(records) <= room:
            self._ring[start : start + len(records)] = records
        else:
            self._ring[start:] = records[:room]
            self._ring[: len(records) - room] = records[room:]
        self._committed = end
        self._cells[_COMMITTED_CELL] = end

    def _append_sample(self, tick: int, stamp_ns: int, value: float, spike_mask: int) -> None:
        # PERF: half the time of the column assignments, and every tick of a slow scenario comes this way.
        slot = self._committed % RING_SLOTS
        self._committed += 1
        self._cells[_RESERVED_CELL] = self._committed
        _SAMPLE.pack_into(self._ring, slot * SAMPLE_BYTES, tick, stamp_ns, value, spike_mask << 32)
        self._cells[_COMMITTED_CELL] = self._committed

    def recent(self, position: int) -> Recent:
        """Return the samples from `position` on that are still whole, at most the newest RECENT_SAMPLES."""
        for _ in range(_RING_ATTEMPTS):
            committed = self._cells[_COMMITTED_CELL]
            # One block copy takes a tenth of picking slot by slot, and leaves the writer little time to overwrite them.
            copied = np.frombuffer(bytes(self._ring), dtype=np.uint64).reshape(RING_SLOTS, 4)
            overwritten_below = self._cells[_RESERVED_CELL] - RING_SLOTS
            if overwritten_below < committed:
                break
            # The writer is in the middle of replacing all of them, and may have lost its core there.
            time.sleep(_RING_RETRY_SECS)
        oldest = max(position, committed - RECENT_SAMPLES, overwritten_below)
        ticks, stamps, values, series = copied.T[:, np.arange(oldest, committed) % RING_SLOTS]
        return Recent(
            position=committed,
            ticks=ticks,
            stamps_ns=stamps.view(np.int64),
            values=values.view(np.float64),
            series=series,
        )


class Board:
    """All rows, as the supervisor holds them.

    Args:
        rows: how many rows there are; memory is used only by rows that were written to.

    Raises:
        OSError: the memory file cannot be created.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.descriptor = os.memfd_create("sondad-board", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self.descriptor)
        os.ftruncate(self.descriptor, PAGE_BYTES + rows * ROW_BYTES)
        self._map = mmap.mmap(self.descriptor, PAGE_BYTES + rows * ROW_BYTES)
        self._header = memoryview(self._map)[:PAGE_BYTES].cast("Q")

    def row(self, index: int) -> Row:
        """Return row `index` for reading."""
        start = PAGE_BYTES + index * ROW_BYTES
        return Row(memoryview(self._map)[start : start + ROW_BYTES])

    def clear(self, index: int) -> None:
        """Give the memory of row `index` back; it reads as zeros afterwards. Nobody may be writing to it."""
        self._map.madvise(mmap.MADV_REMOVE, PAGE_BYTES + index * ROW_BYTES, ROW_BYTES)

    def set_slack_ns(self, slack_ns: int) -> None:
        """Tell every worker how late a tick may be fired together with others."""
        self._header[0] = slack_ns

    def slack_ns(self) -> int:
        """Return what every worker was told, in nanoseconds."""
        return self._header[0]


class BoardHeader:
    """The header, as a worker holds it.

    Args:
        descriptor: the board's memory file.
    """

    def __init__(self, descriptor: int) -> None:
        self._header = memoryview(mmap.mmap(descriptor, PAGE_BYTES, prot=mmap.PROT_READ)).cast("Q")

    def slack_ns(self) -> int:
        """Return how late a tick may be fired, in nanoseconds."""
        return self._header[0]


class WorkerBoard(BoardHeader):
    """The header and one row, as a worker holds them.

    Args:
        descriptor: the board's memory file.
        index: the worker's row.
    """

    def __init__(self, descriptor: int, index: int) -> None:
        super().__init__(descriptor)
        self.row = Row(memoryview(mmap.mmap(descriptor, ROW_BYTES, offset=PAGE_BYTES + index * ROW_BYTES)))


def samples_of(
    first_tick: int, stamps_ns: NDArray[np.int64], values: NDArray[np.float64], spike_mask: int
) -> memoryview:
    """Return the samples of consecutive ticks as the ring holds them, SAMPLE_BYTES each; see `Row.append_samples`."""
    series = values.shape[1] if values.ndim == 2 else 1
    records = np.empty((len(values), series, 4), dtype=np.uint64)
    records[..., 0] = np.arange(first_tick, first_tick + len(values), dtype=np.uint64)[:, None]
    records[..., 1] = stamps_ns.view(np.uint64)[:, None]
    records[..., 2] = values.view(np.uint64).reshape(len(values), series)
    records[..., 3] = np.arange(series, dtype=np.uint64) | np.uint64(spike_mask << 32)
    return memoryview(records.tobytes())


def truncated_utf8(text: str, limit: int) -> bytes:
    """Return `text` as at most `limit` bytes of UTF-8, cut on a character boundary."""
    return text.encode(errors="replace")[:limit].decode(errors="ignore").encode()
