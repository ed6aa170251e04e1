"""What is held back of large batches: once it is written, a reader gets what it would have got all along."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.board import RECENT_SAMPLES, Board, WorkerBoard
from tests.support.plans import entry_plan
from worker.newest import NewestSamples
from worker.ticks.batch import Batch, Encoded
from worker.ticks.block import DueEvents, TickBlock
from worker.ticks.cursor import Cursor, StretchOrigin


@given(
    parts=st.lists(
        st.tuples(st.one_of(st.integers(1, 1024), st.integers(990, 1024)), st.booleans(), st.booleans()), max_size=8
    )
)
def test_the_newest_samples_are_there_after_a_write(parts: list[tuple[int, bool, bool]]) -> None:
    """However large the batches are, and whenever it is written: the newest thousand in order, all counted."""
    board = Board(1)
    row = WorkerBoard(board.descriptor, 0).row
    newest = NewestSamples(entry_plan(), row)
    tick = 0
    shown: list[int] = []
    for count, fails_first, writes in parts:
        ticks = np.arange(tick, tick + count, dtype=np.int64)
        batch = Batch(tick, ticks.astype(np.float64), ticks * 7)
        events = DueEvents(batch.first_tick, batch, Encoded(b"x\n" * count, count), False, 0)
        first = int(fails_first and count > 1)
        newest.put(events, first, count)
        shown += range(tick + first, tick + count)
        if writes:
            newest.write()
            assert board.row(0).recent(0).position == len(shown)
            assert board.row(0).recent(0).ticks.tolist() == shown[-RECENT_SAMPLES:]
        tick += count
    newest.write()
    recent = board.row(0).recent(0)
    assert recent.position == len(shown)
    assert recent.ticks.tolist() == shown[-RECENT_SAMPLES:]
    assert recent.values.tolist() == shown[-RECENT_SAMPLES:]
    assert recent.stamps_ns.tolist() == [number * 7 for number in shown[-RECENT_SAMPLES:]]


@given(
    cuts=st.lists(st.tuples(st.integers(1, 40), st.sampled_from(("all", "rest", "none")), st.booleans()), max_size=12)
)
def test_what_is_cut_off_from_blocks_is_shown_as_if_it_had_come_alone(cuts: list[tuple[int, str, bool]]) -> None:
    """Whatever was not delivered in between, and however often it is written: what counts, in order, and no more."""
    board = Board(1)
    row = WorkerBoard(board.descriptor, 0).row
    newest = NewestSamples(entry_plan(), row)
    tick = 0
    shown: list[int] = []
    block: TickBlock | None = None
    for count, counts, writes in cuts:
        if block is None or block.deadline_ns < 0:
            block = _block(tick)
        events = block.cut(block.deadline_ns + count - 1)
        assert events is not None
        ticks = range(tick, tick + len(events.batch))
        tick = ticks.stop
        first = {"all": 0, "rest": 1, "none": len(ticks)}[counts]
        if first < len(ticks):
            newest.put(events, first, len(ticks))
            shown += ticks[first:]
        if writes:
            newest.write()
            assert board.row(0).recent(0).ticks.tolist() == shown
    newest.write()
    recent = board.row(0).recent(0)
    assert recent.ticks.tolist() == shown
    assert recent.values.tolist() == [float(number) for number in shown]
    assert recent.stamps_ns.tolist() == shown


def _block(first_tick: int, count: int = 64) -> TickBlock:
    """Ticks of a nanosecond each."""
    ticks = np.arange(first_tick, first_tick + count, dtype=np.int64)
    batch = Batch(first_tick, ticks.astype(np.float64), ticks)
    begin = Cursor(segment_ns=0, segment_tick=0, tick=first_tick, origin=StretchOrigin(), place=0, offset_ns=first_tick)
    return TickBlock(DueEvents(batch.first_tick, batch, Encoded(b"x\n" * count, count), False, first_tick), 0, begin)
