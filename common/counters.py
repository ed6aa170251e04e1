"""What a worker tells about its scenario, and how it stands in shared memory and in checkpoints."""

import struct
from typing import Final

import msgspec

from common.states import State

_RECORD: Final = struct.Struct("=QqqQQQQQqd??xxxxxxQQQQQQQQqQQQQQQQqqQQQqQQ")
"""The numbers of `Counters` in order, eight bytes each. The marks of its two texts stand before those that came with a
later version, so that the record of an earlier one is the beginning of this."""

_LATER: Final = 3
"""How many numbers came with a later version."""

RECORD_BYTES: Final = _RECORD.size


class Counters(msgspec.Struct):
    """What a worker tells about its scenario; times are CLOCK_MONOTONIC ns unless named otherwise.

    Attributes:
        state: a value of `common.states.State`.
        state_since_ns: when `state` was entered.
        heartbeat_ns: when the emitting loop last came by.
        last_successful_write_at: wall clock, ns since the epoch; 0 before the first.
        current_rate: events per second over the last closed measuring window.
        batches: how many runs of due ticks were fired, each as one.
        deliveries: how often the destination took something.
        failed_deliveries: how often it did not, retries not counted.
        rejected_batches: how often it refused a batch for good.
        rejected_events: how many events were in those, whole or in part.
        lost_events: how many were in batches that were given up.
        acknowledged_events: how many the destination has taken.
        in_doubt_events: how many of the lost and refused ones it may have nevertheless, its answer did not come; where
            nothing answers, how many of the others it may not have.
        segment_ns: where on the scenario clock the segment began that the run is in.
        segment_tick: the number of the segment's first tick.
        next_tick: the number of the first tick that is neither with the destination nor given up.
        waiting_events: how many of those that count wait for a request, from `next_tick` on.
        written_bytes: what a sink that writes at once has written; says nothing of one that sends requests.
        wakeups: how often a wait for its ticks was over.
        cpu_ns: processor time that it has taken, its share of what starting and waiting cost included.
        backlog_ns: how far the newest tick lies behind the clock while missed ticks or history are made up for; 0 live.
        hole_from_ns: the stamp of the first tick of the newest hole of a run that went on, ns since the epoch.
        hole_until_ns: the stamp of the next tick behind it.
        hole_ticks: how many were missed there; 0 without one.
        cycle_shift_ns: how long before the segment the cycles of its windows began.
        digest_first: the first half of the digest of the events that count; 0 where none is made.
        digest_second: the other half.
        last_rejection: what the destination said to the last batch that it refused for good.
    """

    state: int = State.PENDING
    state_since_ns: int = 0
    heartbeat_ns: int = 0
    total_events: int = 0
    bytes_emitted: int = 0
    errors: int = 0
    total_sink_failures: int = 0
    consecutive_failures: int = 0
    last_successful_write_at: int = 0
    current_rate: float = 0.0
    in_gap: bool = False
    in_burst: bool = False
    batches: int = 0
    deliveries: int = 0
    failed_deliveries: int = 0
    rejected_batches: int = 0
    rejected_events: int = 0
    lost_events: int = 0
    acknowledged_events: int = 0
    in_doubt_events: int = 0
    segment_ns: int = 0
    segment_tick: int = 0
    next_tick: int = 0
    waiting_events: int = 0
    written_bytes: int = 0
    wakeups: int = 0
    cpu_ns: int = 0
    backlog_ns: int = 0
    hole_from_ns: int = 0
    hole_until_ns: int = 0
    hole_ticks: int = 0
    cycle_shift_ns: int = 0
    digest_first: int = 0
    digest_second: int = 0
    last_sink_error: str | None = None
    last_rejection: str | None = None


def write_record(view: memoryview, offset: int, counters: Counters, error_mark: int, rejection_mark: int) -> None:
    """Write the record of `counters` to `view` at `offset`; the texts stand elsewhere, and have their marks here."""
    values = msgspec.structs.astuple(counters)[:-2]
    first, later = values[:-_LATER], values[-_LATER:]
    _RECORD.pack_into(view, offset, *first, error_mark, rejection_mark, *later)


def read_record(record: bytes | memoryview, offset: int = 0) -> tuple[Counters, int, int]:
    """Return the counters of a record without their texts, and the marks of the error's and the rejection's."""
    if len(record) - offset < RECORD_BYTES:
        record = bytes(record[offset:]).ljust(RECORD_BYTES, b"\0")
        offset = 0
    *first, error_mark, rejection_mark = (values := _RECORD.unpack_from(record, offset))[:-_LATER]
    return Counters(*first, *values[-_LATER:]), error_mark, rejection_mark
