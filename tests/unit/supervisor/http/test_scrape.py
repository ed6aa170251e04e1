"""Scrapes of histogram and summary: every series of a tick, spelled with its own label."""

import numpy as np

from common.board import Board
from common.current import CurrentValues
from common.plan import EntryPlan, Histogram, PlannedEntry, RotatingLabel, Summary
from common.specs import Exponential
from supervisor.http import scrape
from tests.support.plans import entry_plan
from worker import encoders, generators
from worker.ticks.batch import Batch

ROTATING = (RotatingLabel(key="host", cardinality=3, prefix="h"),)
DRAWN = {
    "distribution": Exponential(rate=3.0),
    "observations_per_tick": 10,
    "mean_shift_per_sec": 0.0,
    "seed": 1,
}
HISTOGRAM = entry_plan(
    signal_type="histogram",
    name="lat",
    labels={"le": "own", "zone": "a"},
    dynamic_labels=ROTATING,
    generator=Histogram(buckets=(0.5, 1.0, 1e22), **DRAWN),
)
SUMMARY = entry_plan(
    signal_type="summary", name="lat", labels={"zone": "a"}, generator=Summary(quantiles=(0.5, 0.99), **DRAWN)
)


def filled(plan: EntryPlan, ticks: int) -> tuple[Board, bytes]:
    """Return a board with the samples of `ticks` ticks, and what the encoder writes for them."""
    board = Board(1)
    values = generators.build(plan).values(0, ticks)
    stamps_ns = 1_731_587_696_789_000_000 + np.arange(ticks) * 400_000
    board.row(0).append_samples(0, stamps_ns, values)
    CurrentValues(board.row(0).view, plan).put(0, values, 0)
    return board, encoders.build(plan).encode(Batch(0, values, stamps_ns)).payload


def test_a_scrape_says_what_the_sink_got() -> None:
    """The samples of observed signals read the same in a scrape as in the encoder's lines."""
    for plan in (HISTOGRAM, SUMMARY):
        board, written = filled(plan, 20)
        assert scrape.events(plan, board.row(0).recent(0), 1000) == written


def test_a_snapshot_has_the_latest_value_of_every_series() -> None:
    """One line a series, by name and then labels, after the type of the signal."""
    board, _ = filled(SUMMARY, 5)
    entry = PlannedEntry(plan=SUMMARY, config={})
    latest = generators.build(SUMMARY).values(0, 5)[-1].tolist()
    expected = (
        "# HELP lat Emitted by sondad.\n"
        "# TYPE lat summary\n"
        f'lat{{quantile="0.5",zone="a"}} {latest[0]}\n'
        f'lat{{quantile="0.99",zone="a"}} {latest[1]}\n'
        f'lat_count{{zone="a"}} 50\n'
        f'lat_sum{{zone="a"}} {latest[2]}\n'
    )
    assert scrape.snapshot(entry, CurrentValues(board.row(0).view, SUMMARY).newest()).decode() == expected


def test_rotating_labels_multiply_the_series_of_a_histogram() -> None:
    """Each value of a rotating label has its own buckets; the bound replaces a static label of its key."""
    board, _ = filled(HISTOGRAM, 3)
    newest = CurrentValues(board.row(0).view, HISTOGRAM).newest()
    text = scrape.snapshot(PlannedEntry(plan=HISTOGRAM, config={}), newest).decode()
    lines = text.splitlines()
    assert lines[:2] == ["# HELP lat Emitted by sondad.", "# TYPE lat histogram"]
    assert len(lines) == 2 + 3 * 6
    assert 'lat_bucket{host="h0",le="10000000000000000000000",zone="a"} 10' in lines
    assert 'lat_bucket{host="h2",le="+Inf",zone="a"} 30' in lines
    assert 'lat_count{host="h1",le="own",zone="a"} 20' in lines
