"""The board: one writer and any number of readers of a row, in one process here."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from common.board import ERROR_TEXT_BYTES, RECENT_SAMPLES, Board, WorkerBoard, truncated_utf8
from common.counters import Counters
from common.states import State


def test_counters_arrive_as_they_were_published() -> None:
    """Every field, the error text included; an untouched row reads as pending and all zero."""
    board = Board(2)
    assert board.row(1).read() == Counters()
    counters = Counters(
        state=State.RUNNING,
        state_since_ns=1,
        heartbeat_ns=2,
        total_events=2**63,
        bytes_emitted=4,
        errors=5,
        total_sink_failures=6,
        consecutive_failures=7,
        last_successful_write_at=-8,
        current_rate=9.5,
        in_gap=True,
        in_burst=True,
        batches=10,
        deliveries=11,
        failed_deliveries=12,
        rejected_batches=13,
        rejected_events=14,
        lost_events=15,
        acknowledged_events=16,
        in_doubt_events=17,
        last_rejection="HTTP 404 – nothing here",
        last_sink_error="Verbindung verweigert – später",
    )
    WorkerBoard(board.descriptor, 1).row.publish(counters)
    assert board.row(1).read() == counters
    assert board.row(0).read() == Counters()


def test_long_error_texts_are_cut_on_a_character() -> None:
    """What is left is valid UTF-8 of at most the text's room."""
    board = Board(1)
    board.row(0).publish(Counters(last_sink_error="ü" * 2000))
    text = board.row(0).read().last_sink_error
    assert text == "ü" * (ERROR_TEXT_BYTES // 2)
    assert truncated_utf8("aü", 2) == b"a"


def test_a_cleared_row_reads_as_new() -> None:
    """Its next owner starts from nothing."""
    board = Board(1)
    board.row(0).publish(Counters(total_events=5))
    board.clear(0)
    assert board.row(0).read() == Counters()


def test_slack_reaches_every_worker() -> None:
    """One number for all rows, without a message."""
    board = Board(1)
    worker_board = WorkerBoard(board.descriptor, 0)
    assert worker_board.slack_ns() == 0
    board.set_slack_ns(7_000_000)
    assert worker_board.slack_ns() == board.slack_ns() == 7_000_000


@given(
    cuts=st.lists(st.one_of(st.just(1), st.integers(0, 1100)), max_size=8),
    mask=st.integers(0, 2**32 - 1),
    first_tick=st.integers(0, 2**63),
)
def test_samples_are_the_newest_however_they_were_appended(cuts: list[int], mask: int, first_tick: int) -> None:
    """One by one or in columns: a reader gets the same newest thousand, oldest first."""
    board = Board(1)
    row = WorkerBoard(board.descriptor, 0).row
    done = 0
    for count in cuts:
        numbers = np.arange(done, done + count)
        row.append_samples(first_tick + done, numbers.astype(np.int64) - 5, numbers * 0.5, mask)
        done += count
    recent = board.row(0).recent(0)
    kept = range(max(done - RECENT_SAMPLES, 0), done)
    assert recent.position == done
    assert recent.ticks.tolist() == [first_tick + k for k in kept]
    assert recent.stamps_ns.tolist() == [k - 5 for k in kept]
    assert recent.values.tolist() == [k * 0.5 for k in kept]
    assert set(recent.series.tolist()) <= {mask << 32}


@given(
    cuts=st.lists(st.integers(1, 90), max_size=6),
    series=st.sampled_from([2, 14, 999, 1000, 1001, 2050]),
    mask=st.integers(0, 2**32 - 1),
)
def test_samples_of_several_series_are_the_newest_too(cuts: list[int], series: int, mask: int) -> None:
    """A tick of several samples keeps their order, and each carries the index of its series."""
    board = Board(1)
    row = WorkerBoard(board.descriptor, 0).row
    done = 0
    for count in cuts:
        numbers = np.arange(done * series, (done + count) * series, dtype=np.float64)
        row.append_samples(done, np.arange(done, done + count) + 7, numbers.reshape(count, series), mask)
        done += count
    recent = board.row(0).recent(0)
    kept = range(max(done * series - RECENT_SAMPLES, 0), done * series)
    assert recent.position == done * series
    assert recent.values.tolist() == list(kept)
    assert recent.ticks.tolist() == [k // series for k in kept]
    assert recent.stamps_ns.tolist() == [k // series + 7 for k in kept]
    assert recent.series.tolist() == [k % series | mask << 32 for k in kept]


def test_a_read_goes_on_where_the_last_one_ended() -> None:
    """Samples older than the position are not given again."""
    board = Board(1)
    row = board.row(0)
    row.append_samples(0, np.arange(3), np.arange(3.0))
    position = row.recent(0).position
    row.append_samples(3, np.arange(1), np.array([7.0]))
    assert row.recent(position).ticks.tolist() == [3]
