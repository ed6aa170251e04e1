"""Lines of several columns of numbers: the table has the bytes of lines that are made one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.plan import Histogram, Summary
from common.specs import Exponential, Normal, PrometheusText
from tests.support.plans import DEFAULT_BUCKETS, DEFAULT_QUANTILES, entry_plan
from worker import encoders, generators
from worker.encoders.line_table import tabled
from worker.ticks.batch import USUAL_BATCH_EVENTS, Batch

OBSERVED = [
    Histogram(
        distribution=Normal(mean=0.1, stddev=0.02),
        buckets=DEFAULT_BUCKETS,
        observations_per_tick=100,
        mean_shift_per_sec=0.0,
        seed=3,
    ),
    Summary(
        distribution=Exponential(rate=0.001),
        quantiles=DEFAULT_QUANTILES,
        observations_per_tick=3,
        mean_shift_per_sec=-1.0,
        seed=5,
    ),
]

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=9).map(str.encode)
cells = st.one_of(st.sampled_from([b"NaN", b"-0", b"7", b"12"]), st.floats(allow_nan=False).map(lambda x: b"%a" % x))


@given(data=st.data(), count=st.integers(1, 20), columns=st.integers(1, 5))
def test_lines_equal_those_made_one_by_one(data: st.DataObject, count: int, columns: int) -> None:
    """Whatever lengths the numbers have, and whatever bytes of UTF-8 the texts between them."""
    heads = data.draw(st.lists(texts, min_size=columns, max_size=columns))
    tail = data.draw(texts)
    table = data.draw(st.lists(st.lists(cells, min_size=columns, max_size=columns), min_size=count, max_size=count))
    joined = [b",".join(column) for column in zip(*table, strict=True)]
    expected = [b"".join(part for pair in zip(heads, line, strict=True) for part in pair) + tail for line in table]
    assert tabled(count, heads, joined, tail) == b"".join(expected)


@pytest.mark.parametrize("spec", OBSERVED)
@pytest.mark.parametrize("precision", [None, 3])
def test_a_large_batch_has_the_bytes_of_small_ones(spec: Histogram | Summary, precision: int | None) -> None:
    """Counters get digits, quantiles have many lengths, and the stamp changes within the batch."""
    signal = "histogram" if isinstance(spec, Histogram) else "summary"
    plan = entry_plan(
        signal_type=signal, generator=spec, encoder=PrometheusText(precision=precision), labels={"job": "\0\n"}
    )
    count = 2 * USUAL_BATCH_EVENTS
    values = generators.build(plan).values(0, count)
    stamps = 1_731_587_696_789_000_000 + np.arange(count) * 2_000
    batch = Batch(0, values, stamps)
    small = [encoders.build(plan).encode(batch.part(tick, tick + 8)).payload for tick in range(0, count, 8)]
    assert encoders.build(plan).encode(batch).payload == b"".join(small)
