"""What is kept of runs: read back as it was written, whatever instant its writer was stopped at."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.checkpoints import (
    MAX_TOTALS,
    TICKS_BIT,
    Checkpoints,
    CheckpointWriter,
    ObservedTotals,
    read_kept,
)
from common.counters import RECORD_BYTES, Counters
from common.states import State

ROWS = 19
END = 16 + RECORD_BYTES


def counters(total_events: int) -> Counters:
    return Counters(total_events=total_events, segment_ns=-5, segment_tick=3, next_tick=9, state=State.PAUSED)


@pytest.mark.parametrize("row", [0, 7, 8, ROWS - 1])
def test_the_newest_of_each_row_is_read_back(tmp_path: Path, row: int) -> None:
    path = tmp_path / "checkpoints"
    checkpoints = Checkpoints(ROWS, os.open(path, os.O_RDWR | os.O_CREAT))
    writers = [CheckpointWriter(checkpoints.descriptor, number) for number in range(ROWS)]
    for total in range(5):
        for number, writer in enumerate(writers):
            writer.save(counters(100 * number + total))
    writers[row].save_totals(ObservedTotals(8, (1.5,) * MAX_TOTALS))
    writers[row].save_totals(ObservedTotals(9, (2.5, float("inf"))))
    checkpoints.sync()
    found = checkpoints.read(row)
    assert found is not None
    assert (found.counters.total_events, found.totals) == (100 * row + 4, ObservedTotals(9, (2.5, float("inf"))))
    assert (found.counters.segment_ns, found.counters.segment_tick, found.counters.next_tick) == (-5, 3, 9)
    assert read_kept(path, [row, ROWS + 1]) == {row: found}
    checkpoints.clear(row)
    assert checkpoints.read(row) is None
    assert read_kept(path, range(ROWS)).keys() == set(range(ROWS)) - {row}


@pytest.mark.parametrize("length", [0, 5, 4096, 100_000])
def test_a_file_that_was_cut_off_holds_nothing(tmp_path: Path, length: int) -> None:
    path = tmp_path / "checkpoints"
    checkpoints = Checkpoints(ROWS, os.open(path, os.O_RDWR | os.O_CREAT))
    CheckpointWriter(checkpoints.descriptor, 0).save(counters(1))
    os.truncate(path, length)
    assert read_kept(path, [0]) == {}


@settings(max_examples=60, deadline=None)
@given(saves=st.integers(2, 5), damage=st.binary(min_size=1, max_size=220), at=st.integers(0, 200))
def test_a_place_that_was_half_written_leaves_the_one_before(saves: int, damage: bytes, at: int) -> None:
    checkpoints = Checkpoints(ROWS)
    writer = CheckpointWriter(checkpoints.descriptor, 2)
    for total in range(saves):
        writer.save(counters(total))
    start = 4096 + 2 * 1024 + (saves & 1) * 376 + at
    before = checkpoints._map[start : start + len(damage)]
    checkpoints._map[start : start + len(damage)] = damage
    found = checkpoints.read(2)
    assert found is not None
    assert found.counters.total_events == saves - (1 if before[: END - at] == damage[: END - at] else 2)


@given(ticks=st.integers(0, 2**26 - 1), payload_bytes=st.integers(0, 2**34 - 1), saves=st.integers(1, 40))
def test_what_was_delivered_since_a_record_is_read_back(ticks: int, payload_bytes: int, saves: int) -> None:
    checkpoints = Checkpoints(ROWS)
    writer = CheckpointWriter(checkpoints.descriptor, 2)
    for _ in range(saves):
        nothing_since = writer.save(counters(3))
    writer.since[0] = nothing_since + (ticks << TICKS_BIT) + payload_bytes
    found = checkpoints.read(2)
    assert found is not None
    kept = found.counters
    assert (kept.total_events, kept.acknowledged_events, kept.next_tick) == (3 + ticks, ticks, 9 + ticks)
    assert (kept.bytes_emitted, kept.written_bytes, kept.segment_ns) == (payload_bytes, payload_bytes, -5)


def test_a_record_holds_over_what_earlier_ones_were_followed_by() -> None:
    checkpoints = Checkpoints(1)
    writer = CheckpointWriter(checkpoints.descriptor, 0)
    following = writer.save(counters(1)) + (2 << TICKS_BIT)
    writer.since[0] = following
    writer.save(counters(5))
    found = checkpoints.read(0)
    assert found is not None
    assert found.counters.total_events == 5
    # As after a kill behind that record, and as after one in the middle of it.
    writer.since[0] = following
    found = checkpoints.read(0)
    assert found is not None
    assert found.counters.total_events == 5
    checkpoints._map[4096 + 100] ^= 255
    found = checkpoints.read(0)
    assert found is not None
    assert found.counters.total_events == 3


def test_a_later_writer_of_a_row_goes_on_where_the_earlier_one_was() -> None:
    """What was kept last holds from its first record on, whoever kept how much before; a cleared row has nothing."""
    checkpoints = Checkpoints(ROWS)
    for total in range(7):
        CheckpointWriter(checkpoints.descriptor, 3).save(counters(total))
        found = checkpoints.read(3)
        assert found is not None
        assert found.counters.total_events == total
    checkpoints.clear(3)
    assert checkpoints.read(3) is None
