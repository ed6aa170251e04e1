"""Every event takes one lane, the same as all others of its series, and a lane keeps their order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.labels import Labels, label_space
from common.plan import Cycle, EntryPlan, LabelSpike, RotatingLabel
from common.specs import HttpPush, Loki
from tests.support.plans import entry_plan
from worker.delivery import dealing
from worker.delivery.dealing import Dealing, lanes_of
from worker.ticks.batch import Batch, Encoded

rotating = st.builds(
    RotatingLabel,
    key=st.sampled_from(["a", "b", "c"]),
    cardinality=st.integers(1, 12),
    prefix=st.sampled_from(["", "x"]),
) | st.lists(st.sampled_from(["p", "q", "r"]), min_size=1, max_size=5).map(
    lambda values: RotatingLabel(key="v", cardinality=len(values), prefix="", values=tuple(values))
)
spikes = st.builds(
    LabelSpike,
    key=st.sampled_from(["a", "s"]),
    cycle=st.just(Cycle(every_ns=2, for_ns=1)),
    cardinality=st.integers(1, 9),
    prefix=st.sampled_from(["", "x"]),
)


def plan(labels: list[RotatingLabel], peaks: list[LabelSpike], **fields: object) -> EntryPlan:
    return entry_plan(
        sink=HttpPush(url="http://h", max_in_flight=8),
        dynamic_labels=tuple(labels),
        cardinality_spikes=tuple(peaks),
        **fields,
    )


def encoded(batch: Batch, per_event: int, known: bool) -> Encoded:
    ticks = [batch.tick(index) for index in range(len(batch))]
    lines = [b"%d/%d%s\n" % (tick, record, b"." * (tick % 3)) for tick in ticks for record in range(per_event)]
    ends = np.cumsum([len(line) for line in lines]) if known else None
    return Encoded(b"".join(lines), len(batch), per_event, ends)


@given(
    labels=st.lists(rotating, max_size=3),
    peaks=st.lists(spikes, max_size=1),
    lanes=st.integers(1, 6),
    batches=st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=6),
    per_event=st.integers(1, 3),
    known=st.booleans(),
    hashes=st.booleans(),
)
def test_a_series_has_one_lane_and_a_lane_keeps_the_order(
    labels: list[RotatingLabel],
    peaks: list[LabelSpike],
    lanes: int,
    batches: list[tuple[int, bool]],
    per_event: int,
    known: bool,
    hashes: bool,
) -> None:
    """However runs are cut and whichever spikes are active: no event is lost, doubled or torn."""
    entry = plan(labels, peaks)
    with pytest.MonkeyPatch.context() as patch:
        if hashes:
            patch.setattr(dealing, "MAX_DEALT_SERIES", 0)
        dealt = Dealing(entry, lanes)
    lane_of: dict[Labels, int] = {}
    space, tick = label_space(entry), 5
    for events, spiked in batches:
        mask = int(spiked and bool(peaks))
        batch = Batch(tick, np.arange(events) / 2, np.arange(events, dtype=np.int64) + 7, mask)
        seen = {}
        for lane, part, records in dealt.deal(batch, encoded(batch, per_event, known)):
            ticks = [part.tick(index) for index in range(len(part))]
            assert ticks == sorted(set(ticks))
            expected = encoded(part, per_event, known)
            assert (records.payload, records.events) == (expected.payload, expected.events)
            assert records.record_ends().tolist() == expected.record_ends().tolist()
            for index, number in enumerate(ticks):
                assert lane_of.setdefault(space.at(number, mask), lane) == lane
                assert part.values[index] == batch.values[number - tick]
                assert part.stamps_ns[index] == batch.stamps_ns[number - tick]
                seen[number] = lane
        assert sorted(seen) == list(range(tick, tick + events))
        tick += events


def test_few_series_are_dealt_evenly() -> None:
    """Ten series over four lanes: none has more than three."""
    batch = Batch(0, np.zeros(100), np.zeros(100, dtype=np.int64))
    label = RotatingLabel(key="a", cardinality=10, prefix="")
    counts = np.bincount(Dealing(plan([label], []), 4).lanes_at(batch))
    assert counts.tolist() == [30, 30, 20, 20]


@pytest.mark.parametrize(
    ("entry", "lanes"),
    [
        (plan([], []), 1),
        (plan([RotatingLabel(key="a", cardinality=3, prefix="")], []), 3),
        (plan([RotatingLabel(key="a", cardinality=100, prefix="")], []), 8),
        (entry_plan(dynamic_labels=(RotatingLabel(key="a", cardinality=3, prefix=""),)), 1),
        (
            entry_plan(
                sink=Loki(url="http://h", max_in_flight=8),
                signal_type="metrics",
                dynamic_labels=(RotatingLabel(key="a", cardinality=3, prefix=""),),
            ),
            1,
        ),
    ],
)
def test_there_are_no_more_lanes_than_series(entry: EntryPlan, lanes: int) -> None:
    """A series has one request in flight; neither has a sink without requests, nor lines of one stream."""
    assert lanes_of(entry) == lanes
