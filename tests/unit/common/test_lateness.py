"""How late ticks were fired: what a row's histogram tells of the last full second."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.board import Board, WorkerBoard
from common.counters import Counters
from common.lateness import BUCKETS, Lateness, bucket_pairs, counts_of, quantile_secs

NS = 1_000_000_000
MS = 1_000_000


def both() -> tuple[Lateness, Lateness]:
    """The same row, as its worker and as a reader see it."""
    board = Board(1)
    return Lateness(WorkerBoard(board.descriptor, 0).row.view), Lateness(board.row(0).view)


@given(st.lists(st.integers(-5, 2**45), min_size=1, max_size=50), st.sampled_from([0.5, 0.99]))
def test_a_quantile_is_known_to_within_a_fourth(late_ns: list[int], quantile: float) -> None:
    """From a microsecond to half an hour; what is shorter is told apart from it, what is longer counts as that."""
    writer, reader = both()
    for late in late_ns:
        writer.count(late, 1, 7 * NS)
    counts = reader.last_second(8 * NS)
    assert counts is not None
    assert int(counts.sum()) == len(late_ns)
    exact = sorted(late_ns)[math.ceil(quantile * len(late_ns)) - 1] / NS
    found = quantile_secs(counts, quantile)
    if exact < 1e-6:
        assert found <= 1.1e-6
    elif exact < 2000:
        assert found == pytest.approx(exact, rel=0.25)
    else:
        assert found > 1500


def test_events_weigh() -> None:
    """A batch counts as many events as it has."""
    writer, reader = both()
    writer.count(1 * MS, 98, 0)
    writer.count(50 * MS, 2, 0)
    counts = reader.last_second(NS)
    assert counts is not None
    assert quantile_secs(counts, 0.5) == pytest.approx(0.001, rel=0.25)
    assert quantile_secs(counts, 0.99) == pytest.approx(0.05, rel=0.25)


def test_only_the_last_full_second_is_told() -> None:
    """Neither the second that runs, nor one before the last, whatever came in between."""
    writer, reader = both()
    assert reader.last_second(3 * NS) is None
    writer.count(MS, 1, 3 * NS)
    assert reader.last_second(3 * NS + 5) is None
    writer.count(MS, 2, 4 * NS)
    told = [reader.last_second(second * NS) for second in (4, 5, 6, 7)]
    assert [None if counts is None else int(counts.sum()) for counts in told] == [1, 2, None, None]
    writer.count(MS, 4, 9 * NS)
    told = [reader.last_second(second * NS) for second in (4, 10)]
    assert [None if counts is None else int(counts.sum()) for counts in told] == [None, 4]


def test_no_events_have_no_quantile() -> None:
    """Nothing late and nothing at all are different things."""
    assert math.isnan(quantile_secs(np.zeros(BUCKETS, np.uint64), 0.5))


def test_the_histogram_is_beside_everything_else_of_the_row() -> None:
    """Counting changes no counter, and the counters change no count."""
    row = Board(1).row(0)
    lateness = Lateness(row.view)
    lateness.count(2**60, 3, NS)
    assert row.read() == Counters()
    row.publish(Counters(total_events=2**64 - 1, last_sink_error="x" * 5000))
    row.append_samples(0, np.arange(2000), np.full(2000, -1.0))
    counts = lateness.last_second(2 * NS)
    assert counts is not None
    assert counts.tolist() == [0] * (BUCKETS - 1) + [3]


@given(
    hosts=st.lists(st.lists(st.integers(0, 10**12), min_size=1, max_size=30), min_size=1, max_size=4),
    quantile=st.sampled_from([0.5, 0.9, 0.99]),
)
def test_histograms_of_hosts_add_up(hosts: list[list[int]], quantile: float) -> None:
    """The quantile of the sums is that of all ticks together, through the pairs that clients see."""
    boards = [Board(1) for _ in (*hosts, "all")]
    rows = [Lateness(board.row(0).view) for board in boards]
    for row, late in zip(rows, hosts, strict=False):
        for one in late:
            row.count(one, 1, NS)
            rows[-1].count(one, 1, NS)
    merged = counts_of(pair for row in rows[:-1] for pair in bucket_pairs(row.whole_run()))
    assert merged.tolist() == rows[-1].whole_run().tolist()
    assert quantile_secs(merged, quantile) == quantile_secs(rows[-1].whole_run(), quantile)


def test_the_run_is_counted_whatever_becomes_of_its_seconds() -> None:
    """The buckets of each second begin anew, those of the run do not; the highest are one."""
    row = Lateness(Board(1).row(0).view)
    for second in range(5):
        row.count(1000, 2, second * NS)
    row.count(2**50, 1, 5 * NS)
    pairs = bucket_pairs(row.whole_run())
    assert [events for _, events in pairs] == [10, 1]
    assert pairs[0][0] == 1024


def test_a_bound_of_no_bucket_is_refused() -> None:
    """Histograms of another make cannot be added."""
    with pytest.raises(ValueError, match="no bucket of lateness ends at 1000 ns"):
        counts_of([(1000, 1)])
