"""The newest value of each series: what a row of the board tells of them, however ticks were cut into batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.board import CURRENT_SLOTS, Board, WorkerBoard
from common.current import CurrentValues, SeriesKey
from common.families import series_text
from common.labels import label_space
from common.plan import Cycle, EntryPlan, LabelSpike, RotatingLabel
from tests.support.plans import entry_plan, plan_of

HISTOGRAM = {
    "signal_type": "histogram",
    "name": "latency",
    "rate": 10,
    "buckets": [1.0, 2.0],
    "distribution": {"type": "exponential", "rate": 1.0},
    "encoder": {"type": "prometheus_text"},
}


def both(plan: EntryPlan) -> tuple[CurrentValues, CurrentValues]:
    """The same row, as its worker and as a reader see it."""
    board = Board(2)
    return CurrentValues(WorkerBoard(board.descriptor, 1).row.view, plan), CurrentValues(board.row(1).view, plan)


def rotating(*cardinalities: int) -> tuple[RotatingLabel, ...]:
    return tuple(
        RotatingLabel(key=f"r{place}", cardinality=cardinality, prefix="v-")
        for place, cardinality in enumerate(cardinalities)
    )


def text_of(found: list[tuple[SeriesKey, float]]) -> str:
    return "".join(f"{series_text(*key)} {value}\n" for key, value in found)


def spike(key: str, cardinality: int) -> LabelSpike:
    return LabelSpike(
        key=key,
        cycle=Cycle(every_ns=10, for_ns=5),
        cardinality=cardinality,
        prefix="s-",
        strategy="random",
        seed=9,
    )


PLANS = [
    entry_plan(name="up", labels={"job": "x"}),
    entry_plan(name="up", labels={"r0": "static"}, dynamic_labels=rotating(3)),
    entry_plan(name="up", dynamic_labels=rotating(4, 6)),
    entry_plan(name="up", dynamic_labels=rotating(5), cardinality_spikes=(spike("r0", 3), spike("b", 2))),
]


@given(
    st.sampled_from(PLANS),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20), st.integers(0, 3)), min_size=1, max_size=12),
)
def test_each_series_has_its_newest_value(plan: EntryPlan, batches: list[tuple[int, int, int]]) -> None:
    """Ticks may be missing between batches, and label spikes come and go; series that never were are not there."""
    writer, reader = both(plan)
    space = label_space(plan)
    expected: dict[SeriesKey, float] = {}
    tick = 0
    for missing, count, spike_mask in batches:
        mask = spike_mask if plan.cardinality_spikes else 0
        tick += missing
        writer.put(tick, np.arange(tick, tick + count, dtype=np.float64), mask)
        expected |= {("up", space.at(number, mask)): float(number) for number in range(tick, tick + count)}
        tick += count
    assert reader.newest() == sorted(expected.items())
    text = text_of(reader.newest())
    assert len(text) <= reader.text_bytes() <= len(text) + 32 * len(expected)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_all_series_of_a_tick_are_shown(cuts: list[int]) -> None:
    """A histogram's buckets, sum and count, for every label set that rotates."""
    plan = plan_of(HISTOGRAM | {"dynamic_labels": [{"key": "host", "cardinality": 3, "prefix": "h"}]})
    writer, reader = both(plan)
    tick = 0
    for count in cuts:
        ticks = np.arange(tick, tick + count, dtype=np.float64)
        writer.put(tick, ticks[:, None] * 10 + np.arange(5), 0)
        tick += count
    expected = {}
    for number in range(tick):
        host = ("host", f"h{number % 3}")
        for place, le in enumerate(("1", "2", "+Inf")):
            expected["latency_bucket", (host, ("le", le))] = number * 10.0 + place
        expected["latency_sum", (host,)] = number * 10.0 + 3
        expected["latency_count", (host,)] = number * 10.0 + 4
    assert reader.newest() == sorted(expected.items())


def test_any_number_is_a_value() -> None:
    """Zero, NaN and infinities are shown like all others, and a series without a value is not."""
    writer, reader = both(entry_plan(name="up", dynamic_labels=rotating(9)))
    writer.put(0, np.array([0.0, np.nan, -0.0, np.inf]), 0)
    assert [str(value) for _, value in reader.newest()] == ["0.0", "nan", "-0.0", "inf"]


@pytest.mark.parametrize(
    ("cardinality", "before", "after"), [(CURRENT_SLOTS, 5, 3), (CURRENT_SLOTS + 1, 4, 2), (2**63, 2, 1)]
)
def test_the_room_has_a_bound(cardinality: int, before: int, after: int) -> None:
    """Label sets of the highest indices are left out, wherever the run of ticks begins and wraps around."""
    writer, reader = both(entry_plan(name="up", dynamic_labels=rotating(cardinality)))
    writer.put(cardinality - 3, np.array([7.0, 8.0, 9.0, 1.0, 2.0]), 0)
    first, second = ((("r0", "v-0"),), 1.0), ((("r0", "v-1"),), 2.0)
    shown = [(labels, value) for (_, labels), value in reader.newest()]
    assert [pair for pair in shown if pair[1] < 7] == [first, second]
    assert len(shown) == before
    writer.put(CURRENT_SLOTS - 1, np.full(3, 5.0), 0)
    assert sum(value == 5 for _, value in reader.newest()) == after


def test_spikes_that_find_no_room_are_left_out() -> None:
    """The series without a spike come first."""
    plan = entry_plan(name="up", cardinality_spikes=tuple(spike(f"k{place}", 2**40) for place in range(32)))
    writer, reader = both(plan)
    for mask in (0, 1, 2, 2**31):
        writer.put(3, np.array([float(mask)]), mask)
    assert [value for _, value in reader.newest()] == [0.0, 1.0]
