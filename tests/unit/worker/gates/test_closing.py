"""Which series get a last sample, against a set of everything that was written."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.labels import label_space
from common.plan import LabelSpike, RotatingLabel
from tests.support.entries import CYCLE, label_spikes, rotating_labels, static_labels
from tests.support.plans import entry_plan
from worker.gates import closing
from worker.gates.closing import ClosingSamples, TickRanges
from worker.ticks.batch import BATCH_EVENTS

runs = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 40), st.integers(0, 7)), max_size=12)


@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 300), st.integers(1, 70)), max_size=20))
def test_ranges_hold_what_was_added(period: int, added: list[tuple[int, int]]) -> None:
    """Modulo the period, in ascending order, and never two ranges where one would do."""
    ranges = TickRanges(period)
    for first, count in added:
        ranges.add(first, count)
    held = list(ranges)
    assert {tick for start, stop in held for tick in range(start, stop)} == {
        tick % period for first, count in added for tick in range(first, first + count)
    }
    assert all(stop < start for (_, stop), (start, _) in pairwise(held))


def test_ranges_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are too many, the newest is joined with its neighbour."""
    monkeypatch.setattr(closing, "MAX_RANGES", 3)
    ranges = TickRanges(2**64)
    for first in (0, 10, 20, 30, 40):
        ranges.add(first, 1)
    assert list(ranges) == [(0, 1), (10, 11), (20, 41)]


@given(static_labels, rotating_labels, label_spikes, runs)
def test_every_series_once(
    labels: dict[str, str],
    rotating: tuple[RotatingLabel, ...],
    spikes: tuple[LabelSpike, ...],
    written: list[tuple[int, int, int]],
) -> None:
    """Exactly the label sets that were written, whatever rotates and repeats; all with one stamp and one value."""
    plan = entry_plan(labels=labels, dynamic_labels=rotating, cardinality_spikes=spikes)
    samples = ClosingSamples(plan, 7.5)
    space = label_space(plan)
    expected = set()
    for place, (first, count, mask) in enumerate(written):
        mask &= (1 << len(spikes)) - 1
        samples.note(first, count, place * 1_000_000, mask)
        expected |= {space.at(tick, mask) for tick in range(first, first + count)}
    assert bool(samples) == bool(written)
    closed = []
    for batch in samples.take():
        assert 0 < len(batch) <= BATCH_EVENTS
        assert set(batch.values.tolist()) == {7.5}
        assert set(batch.stamps_ns.tolist()) == {len(written) * 1_000_000}
        closed += [space.at(batch.first_tick + place, batch.spike_mask) for place in range(len(batch))]
    assert len(closed) == len(set(closed))
    assert set(closed) == expected
    assert not samples


def test_a_hundred_thousand_series_take_one_range() -> None:
    """However long the run is."""
    label = RotatingLabel(key="pod", cardinality=100_000, prefix="p")
    spike = LabelSpike(key="k", cycle=CYCLE, cardinality=3, prefix="k", strategy="counter", seed=0)
    samples = ClosingSamples(entry_plan(dynamic_labels=(label,), cardinality_spikes=(spike,)), 0.0)
    for first in range(0, 1_000_000, 1000):
        samples.note(first, 1000, 5, 0)
    assert [list(ranges) for ranges in samples._written.values()] == [[(0, 100_000)]]
    assert sum(len(batch) for batch in samples.take()) == 100_000
