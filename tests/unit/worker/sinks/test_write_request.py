"""Requests of remote write 2.0: known bytes, and every sample of random batches under its series, in order."""

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import EncoderError
from common.plan import EntryPlan
from common.specs import Constant, RemoteWriteEncoder, RemoteWriteSink, Step
from tests.support.entries import generators, histograms, label_spikes, rotating_labels, static_labels, summaries
from tests.support.per_event import labels_of, series_of
from tests.support.plans import entry_plan
from tests.support.protobuf_classes import WRITE_2
from worker import encoders
from worker import generators as generation
from worker.delivery.dealing import Dealing
from worker.gates.closing import STALE_MARKER
from worker.sinks.batching import BatchBuffer, Batching, Piece
from worker.sinks.write_request import WriteRequests
from worker.ticks.batch import Batch, Encoded

START_NS = 1731587696789_000_000
SINK = RemoteWriteSink(url="http://h", protocol_version="2.0")
Bits = tuple[bytes, int, int]


def plan_of(**fields: Any) -> EntryPlan:
    return entry_plan(encoder=RemoteWriteEncoder(), sink=SINK, **fields)


def request_of(plan: EntryPlan, batches: list[Batch], skip: int = 0) -> bytes:
    """The request with all records of `batches` but the first `skip`."""
    encoder, buffer = encoders.build(plan), BatchBuffer(Batching(10**9, "records", 0), 0)
    for batch in batches:
        buffer.add(batch, encoder.encode(batch), skip, 0, 0)
        skip = 0
    return WriteRequests(plan).request(buffer.take(0))


def pieces_of(batch: Batch, encoded: Encoded, records: int) -> Iterator[Piece]:
    """A batch as pieces of some records each."""
    buffer, record = BatchBuffer(Batching(records, "records", 0), 0), 0
    while record < encoded.events * encoded.records_per_event:
        record = buffer.add(batch, encoded, record, 0, 0)
        yield from buffer.take(0)


def read(body: bytes) -> dict[tuple[tuple[str, str], ...], list[Bits]]:
    """The samples of every series of a request: bits of the value, stamp and start."""
    request = WRITE_2["Request"].FromString(body)
    assert request.symbols[0] == ""
    assert len(set(request.symbols)) == len(request.symbols)
    series: dict[tuple[tuple[str, str], ...], list[Bits]] = {}
    for one in request.timeseries:
        texts = [request.symbols[number] for number in one.labels_refs]
        labels = tuple(zip(texts[::2], texts[1::2], strict=True))
        assert [name for name, _ in labels] == sorted((name for name, _ in labels), key=str.encode)
        assert labels not in series
        series[labels] = [
            (struct.pack("<d", sample.value), sample.timestamp, sample.start_timestamp) for sample in one.samples
        ]
    return series


def test_a_known_request() -> None:
    """Two samples of a counter with a help text; the value of the second is a zero with its sign."""
    plan = plan_of(name="fan_rpm", labels={"Bay": "2"}, metric_type="counter", help="Turns.", rate=1.0)
    batch = Batch(0, np.array([2.5, -0.0]), START_NS + np.array([0, 10**9]), start_ns=START_NS)
    assert request_of(plan, [batch]) == bytes.fromhex(
        "2200 2206 5475726e732e 2203 426179 2201 32 2208 5f5f6e616d655f5f 2207 66616e5f72706d"
        "2a3e 0a04 02030405"
        "1217 090000000000000440 1095d1add5b232 18adc9add5b232"
        "1217 090000000000000080 10fdd8add5b232 18adc9add5b232"
        "2a04 0801 1801"
    )


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"generator": Constant(value=1)}, 2),
        ({"generator": Step(step_size=1)}, 1),
        ({"metric_type": "untyped"}, 0),
        ({"metric_type": "summary"}, 5),
    ],
)
def test_the_type_is_that_of_the_entry(fields: dict[str, Any], number: int) -> None:
    """As in scrapes; without a help text it has none."""
    batch = Batch(0, np.array([1.0]), np.array([START_NS]))
    request = WRITE_2["Request"].FromString(request_of(plan_of(**fields), [batch]))
    (series,) = request.timeseries
    assert (series.metadata.type, series.metadata.help_ref) == (number, 0)
    assert series.HasField("metadata") is (number > 0)
    assert series.samples[0].start_timestamp == 0


@st.composite
def plans(draw: st.DrawFn) -> EntryPlan:
    kinds = {"metrics": generators, "histogram": histograms, "summary": summaries}
    signal = draw(st.sampled_from(sorted(kinds)))
    return plan_of(
        signal_type=signal,
        name=draw(st.sampled_from(["up", "node:load1", "_p"])),
        generator=draw(kinds[signal]),
        labels=draw(static_labels),
        dynamic_labels=draw(rotating_labels),
        cardinality_spikes=draw(label_spikes),
        metric_type=draw(st.sampled_from([None, "counter", "gauge"])),
        help=draw(st.sampled_from(["", "up", "What it says."])),
        rate=draw(st.sampled_from([0.5, 1.0, 3000.0])),
    )


@given(
    plan=plans(),
    first_tick=st.integers(0, 2**64 - 500),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    masks=st.lists(st.integers(0, 7), min_size=4, max_size=4),
    first_ns=st.sampled_from([0, 126_999_999, 2**35 * 10**6 - 5, START_NS]),
    period_ns=st.sampled_from([1, 400_000, 10**6, 10**9]),
    skip=st.integers(0, 3),
)
def test_every_sample_is_there_once(
    plan: EntryPlan, first_tick: int, cuts: list[int], masks: list[int], first_ns: int, period_ns: int, skip: int
) -> None:
    """Whatever labels there are and however batches are cut, each series has its samples in order, bit by bit."""
    generator = generation.build(plan)
    edges = np.cumsum([0, *cuts]).tolist()
    stamps = first_ns + np.arange(edges[-1]) * period_ns
    batches = [
        Batch(
            first_tick + start, generator.values(first_tick + start, stop - start), stamps[start:stop], mask, first_ns
        )
        for (start, stop), mask in zip(pairwise(edges), masks, strict=False)
    ]
    series = series_of(plan)
    skip = min(skip, len(batches[0]) * len(series) - 1)
    since_ms = max(first_ns - int(1e9 / plan.rate), 0) // 10**6 if first_ns else 0
    samples: list[tuple[tuple[tuple[str, str], ...], Bits]] = []
    for batch in batches:
        for place, row in enumerate(batch.values):
            for (name, own), value in zip(series, np.atleast_1d(row).tolist(), strict=True):
                labels = labels_of(plan, batch.first_tick + place, batch.spike_mask, own)
                key = tuple(sorted([("__name__", name), *labels.items()], key=lambda pair: pair[0].encode()))
                counts = name.endswith(("_bucket", "_sum", "_count")) or (
                    plan.signal_type == "metrics"
                    and (plan.metric_type or ("counter" if isinstance(plan.generator, Step) else "gauge")) == "counter"
                )
                sample = (struct.pack("<d", value), batch.stamps_ns.item(place) // 10**6, since_ms if counts else 0)
                samples.append((key, sample))
    expected: dict[tuple[tuple[str, str], ...], list[Bits]] = {}
    for key, sample in samples[skip:]:
        expected.setdefault(key, []).append(sample)
    assert read(request_of(plan, batches, skip)) == expected


def test_the_stale_marker_keeps_its_bits() -> None:
    """Prometheus knows it by them alone."""
    batch = Batch(0, np.array([STALE_MARKER]), np.array([START_NS]))
    ((sample,),) = read(request_of(plan_of(name="up"), [batch])).values()
    assert sample[0] == bytes.fromhex("020000000000f07f")


def test_a_stamp_before_the_epoch_is_refused() -> None:
    """As by every encoder."""
    with pytest.raises(EncoderError, match="timestamp before Unix epoch"):
        encoders.build(plan_of()).encode(Batch(0, np.array([1.0]), np.array([-1])))


@given(
    labels=rotating_labels,
    spikes=label_spikes,
    first_tick=st.integers(0, 50),
    events=st.integers(1, 40),
    data=st.data(),
)
def test_a_part_of_a_batch_keeps_its_samples_under_their_series(
    labels: Any, spikes: Any, first_tick: int, events: int, data: st.DataObject
) -> None:
    """Dealt to lanes, all requests together have what one request of the whole batch has, series by series."""
    plan = plan_of(dynamic_labels=labels, cardinality_spikes=spikes)
    mask = data.draw(st.integers(0, 2 ** len(spikes) - 1))
    stamps_ns = START_NS + np.arange(events) * 10**9
    batch = Batch(first_tick, np.arange(events, dtype=float), stamps_ns, mask, START_NS)
    encoded = encoders.build(plan).encode(batch)
    whole = read(request_of(plan, [batch]))
    parts: dict[Any, list[Bits]] = {}
    lane_of: dict[Any, int] = {}
    for lane, part, records in Dealing(plan, data.draw(st.integers(1, 4))).deal(batch, encoded):
        for piece in pieces_of(part, records, data.draw(st.integers(1, 10))):
            for pairs, samples in read(WriteRequests(plan).request([piece])).items():
                assert lane_of.setdefault(pairs, lane) == lane
                parts.setdefault(pairs, []).extend(samples)
    assert parts == whole
