"""Checkpoints: what is kept of every run, so that it can be continued after its worker, or the whole daemon, has gone.

One file, in memory or below the state directory, of which every worker maps its row. What is written to a mapped file
outlives every process; `sync` is for what a power cut would take. ::

    page 0      LAYOUT, and how many rows there are, each u64
    rows        rows × 1024 bytes         2 × 376: the counters, as the record that the board has, too
                                          8: the ticks and bytes delivered since, and which record they follow
    totals      rows × 2 × 8192 bytes     what a histogram or summary has counted

Records and totals are written alternately to two places, with a sequence number and a checksum. Whenever the writer is
stopped, one of them is whole, and the newest whole one holds. What was delivered since is one store of eight bytes ::

    bit 60..63  the sequence number of the record, the lowest bits
    bit 34..59  ticks
    bit  0..33  bytes

PERF: a wake-up finds cold caches, and costs what it touches: so after a batch that number is all that is written.
"""

import mmap
import os
import struct
import weakref
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from common.counters import RECORD_BYTES, Counters, read_record, write_record
from common.errors import SondadError
from common.states import State

_ROW: Final = 1024
_RECORD_PLACE: Final = 376
_SINCE_PLACE: Final = 8
_TOTALS_PLACE: Final = 8192
_HEAD: Final = struct.Struct("=IIQ")
"""Checksum of all that follows, length of the body, sequence number from 1."""
_CHECKSUM: Final = struct.Struct("=I")
_CHECKED: Final = struct.Struct("=IQ")
_SINCE: Final = struct.Struct("=Q")
_FOLLOWED_BIT: Final = 60
_FOLLOWED_MASK: Final = 15
TICKS_BIT: Final = 34
_TICK: Final = struct.Struct("=Q")
_PAGE_0: Final = struct.Struct("=QQ")
LAYOUT: Final = 2
"""The number of what is described above; another one whenever a place moves or means something else."""

MAX_TOTALS: Final = (_TOTALS_PLACE - _HEAD.size - _TICK.size) // 8


class ObservedTotals(msgspec.Struct, frozen=True):
    """What a histogram or summary has counted.

    Attributes:
        tick: the number of the first tick that is not counted.
        values: see `worker.generators.Observer`; at most MAX_TOTALS.
    """

    tick: int
    values: tuple[float, ...]


class OtherLayoutError(SondadError):
    """Checkpoints are of another version; the text says which."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one run.

    Attributes:
        counters: as they were shown last, without their texts.
        totals: of a histogram or summary; None for the others, and before the first.
    """

    counters: Counters
    totals: ObservedTotals | None = None


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """How a run that was interrupted goes on.

    Attributes:
        checkpoint: where it was; None where nothing of it is known, and all of it was missed.
        fills: whether the ticks missed meanwhile are made up for; otherwise they are passed over.
        shares_file: whether others write to the file of its sink too, so that nothing may be cut off there.
    """

    checkpoint: Checkpoint | None
    fills: bool = False
    shares_file: bool = False

    @property
    def state(self) -> State:
        """The state that the run was in."""
        return State.PENDING if self.checkpoint is None else State(self.checkpoint.counters.state)

    @property
    def kept_bytes(self) -> int | None:
        """How much of the sink's file was counted; None when that is not known."""
        return None if self.checkpoint is None or self.shares_file else self.checkpoint.counters.written_bytes

    @property
    def waiting_events(self) -> int:
        """How many events that counted waited for a request."""
        return 0 if self.checkpoint is None else self.checkpoint.counters.waiting_events

    def counters(self) -> Counters:
        """Return the counters that the run goes on with; what only waited for a request is generated again."""
        if self.checkpoint is None:
            return Counters()
        last = self.checkpoint.counters
        return msgspec.structs.replace(
            last,
            state=State.PENDING,
            state_since_ns=0,
            heartbeat_ns=0,
            total_events=last.total_events - last.waiting_events,
            waiting_events=0,
            current_rate=0.0,
            consecutive_failures=0,
            in_gap=False,
            in_burst=False,
        )


class Checkpoints:
    """The checkpoints of all rows, as the supervisor holds them.

    Args:
        rows: how many rows there are; room is used only by rows that were written to.
        descriptor: the file, which is emptied, and owned from here on; None keeps all in memory. On a disk the room of
            the records is taken at once: a mapped page that finds none ends its writer.

    Attributes:
        descriptor: the file.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, rows: int, descriptor: int | None = None) -> None:
        is_on_disk = descriptor is not None
        self.descriptor = os.memfd_create("sondad-checkpoints", os.MFD_CLOEXEC) if descriptor is None else descriptor
        weakref.finalize(self, os.close, self.descriptor)
        self._rows = rows
        os.ftruncate(self.descriptor, 0)
        os.ftruncate(self.descriptor, _totals_start(rows, rows))
        if is_on_disk:
            os.posix_fallocate(self.descriptor, 0, _totals_start(rows, 0))
        os.pwrite(self.descriptor, _PAGE_0.pack(LAYOUT, rows), 0)
        self._map = mmap.mmap(self.descriptor, 0)

    def read(self, row: int) -> Checkpoint | None:
        """Return what is kept of `row`; None when nothing is."""
        return _read(memoryview(self._map), self._rows, row)

    def clear(self, row: int) -> None:
        """Forget `row`. Nobody may be writing to it."""
        start = _record_start(row)
        self._map[start : start + _ROW] = bytes(_ROW)
        self._map.madvise(mmap.MADV_REMOVE, _totals_start(self._rows, row), 2 * _TOTALS_PLACE)

    def sync(self) -> None:
        """Have everything written to the disk; waits for it.

        Raises:
            OSError: it cannot be written.
        """
        os.fdatasync(self.descriptor)


class Counting(Protocol):
    """A generator that counts over the whole run; see `worker.generators.Observer`."""

    totals: list[float]


class CheckpointWriter:
    """One row's checkpoints, as a worker holds them.

    Args:
        descriptor: the file.
        row: which one is written.

    Attributes:
        since: one cell: what was delivered since the newest record. It is `save`'s result, plus the bytes, plus the
            ticks << TICKS_BIT; less than a second of them at a time, so that they have room.
    """

    def __init__(self, descriptor: int, row: int) -> None:
        # A page has the records of several rows: all of their workers map it, and each writes its own.
        start = _record_start(row)
        page = mmap.mmap(descriptor, mmap.PAGESIZE, offset=start - start % mmap.PAGESIZE)
        view = memoryview(page)[start % mmap.PAGESIZE :]
        self._records = _Places(view, _RECORD_PLACE)
        self.since = view[2 * _RECORD_PLACE :][:_SINCE_PLACE].cast("Q")
        self._descriptor = descriptor
        _, rows = _PAGE_0.unpack(os.pread(descriptor, _PAGE_0.size, 0))
        self._totals_start = _totals_start(rows, row)
        self._totals: _Places | None = None

    def save(self, counters: Counters) -> int:
        """Keep `counters`, without their texts; return what stands in `since` from here on, nothing being added."""
        records = self._records
        write_record(records.view, records.open(), counters, 0, 0)
        records.close(RECORD_BYTES)
        self.since[0] = nothing_since = _followed(records.sequence) << _FOLLOWED_BIT
        return nothing_since

    def save_counted(self, counters: Counters, observer: "Counting") -> None:
        """Keep what a generator has counted, if nothing waits for a request."""
        if not counters.waiting_events:
            self.save_totals(ObservedTotals(counters.next_tick, tuple(observer.totals)))

    def save_totals(self, totals: ObservedTotals) -> None:
        """Keep what was counted; without room nothing is kept, and a run that goes on counts again."""
        if self._totals is None:
            try:
                os.posix_fallocate(self._descriptor, self._totals_start, 2 * _TOTALS_PLACE)
            except OSError:
                return
            view = memoryview(mmap.mmap(self._descriptor, 2 * _TOTALS_PLACE, offset=self._totals_start))
            self._totals = _Places(view, _TOTALS_PLACE)
        body = _TICK.pack(totals.tick) + struct.pack(f"={len(totals.values)}d", *totals.values)
        start = self._totals.open()
        self._totals.view[start : start + len(body)] = body
        self._totals.close(len(body))


class _Places:
    """Two places for one body, written in turn.

    Args:
        view: begins with both of them.
        size: of one.

    Attributes:
        view: the same.
        sequence: the number of the body that was written last.
    """

    def __init__(self, view: memoryview, size: int) -> None:
        self.view = view
        self._size = size
        # What an earlier writer of the same run has kept holds until this one has written more.
        self.sequence: int = max(_HEAD.unpack_from(view, place)[2] for place in (0, size))

    def open(self) -> int:
        """Return where in the view the next body is to be written."""
        self.sequence += 1
        return (self.sequence & 1) * self._size + _HEAD.size

    def close(self, length: int) -> None:
        """Let what was written there hold."""
        start = (self.sequence & 1) * self._size
        checked = self.view[start + _CHECKSUM.size : start + _HEAD.size + length]
        _CHECKED.pack_into(checked, 0, length, self.sequence)
        _CHECKSUM.pack_into(self.view, start, zlib.crc32(checked))


def read_kept(path: Path, wanted: Iterable[int]) -> dict[int, Checkpoint]:
    """Return what an earlier daemon has kept of the rows `wanted`; those of which nothing is whole are left out.

    Raises:
        OtherLayoutError: the file is of another version.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        layout, rows = _PAGE_0.unpack(file.read(_PAGE_0.size).ljust(_PAGE_0.size, b"\0"))
        if os.fstat(file.fileno()).st_size != _totals_start(rows, rows):
            return {}
        if layout != LAYOUT:
            raise OtherLayoutError(f"their layout is {layout}, this daemon reads {LAYOUT}")
        kept = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    found = ((row, _read(kept, rows, row)) for row in wanted if row < rows)
    return {row: checkpoint for row, checkpoint in found if checkpoint is not None}


def _record_start(row: int) -> int:
    return mmap.PAGESIZE + row * _ROW


def _totals_start(rows: int, row: int) -> int:
    return -(-_record_start(rows) // mmap.PAGESIZE) * mmap.PAGESIZE + row * 2 * _TOTALS_PLACE


def _read(kept: memoryview, rows: int, row: int) -> Checkpoint | None:
    start = _record_start(row)
    sequence, record = _newest(kept, start, _RECORD_PLACE)
    if not sequence:
        return None
    counters = read_record(record)[0]
    (since,) = _SINCE.unpack_from(kept, start + 2 * _RECORD_PLACE)
    if since >> _FOLLOWED_BIT == _followed(sequence):
        _add(counters, since & (1 << _FOLLOWED_BIT) - 1)
    _, body = _newest(kept, _totals_start(rows, row), _TOTALS_PLACE)
    if not body:
        return Checkpoint(counters=counters)
    (tick,) = _TICK.unpack_from(body)
    values = struct.unpack_from(f"={(len(body) - _TICK.size) // 8}d", body, _TICK.size)
    return Checkpoint(counters=counters, totals=ObservedTotals(tick, values))


def _followed(sequence: int) -> int:
    return sequence & _FOLLOWED_MASK


def _add(counters: Counters, since: int) -> None:
    ticks, payload_bytes = since >> TICKS_BIT, since & (1 << TICKS_BIT) - 1
    counters.next_tick += ticks
    counters.total_events += ticks
    counters.acknowledged_events += ticks
    counters.bytes_emitted += payload_bytes
    counters.written_bytes += payload_bytes


def _newest(kept: memoryview, start: int, size: int) -> tuple[int, bytes]:
    """Return the newest whole body of two places and its sequence number; 0 and nothing where neither is whole."""
    bodies: dict[int, bytes] = {}
    for place in (start, start + size):
        checksum, length, sequence = _HEAD.unpack_from(kept, place)
        checked = bytes(kept[place + _CHECKSUM.size : place + min(_HEAD.size + length, size)])
        if sequence and zlib.crc32(checked) == checksum:
            bodies[sequence] = checked[_CHECKED.size :]
    newest = max(bodies, default=0)
    return newest, bodies.get(newest, b"")
