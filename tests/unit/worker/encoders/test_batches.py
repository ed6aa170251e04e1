"""Encoders: a batch is exactly the concatenation of its events, whatever labels, stamps and cuts there are."""

from itertools import accumulate, pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import EncoderError
from common.plan import EntryPlan, Histogram, RotatingLabel
from common.specs import (
    EncoderSpec,
    Exponential,
    InfluxLp,
    JsonLines,
    LogTemplate,
    Memory,
    MetricType,
    OtlpEncoder,
    PrometheusText,
    RemoteWriteEncoder,
    RemoteWriteSink,
    Sawtooth,
    SinkSpec,
    Step,
    Syslog,
)
from tests.support.entries import (
    generators,
    histograms,
    label_spikes,
    log_templates,
    replayed_rows,
    rotating_labels,
    static_labels,
    summaries,
)
from tests.support.per_event import encode_event
from tests.support.plans import entry_plan
from worker import encoders
from worker import generators as generation
from worker.ticks.batch import BATCH_EVENTS, USUAL_BATCH_EVENTS, Batch

EPOCH_2024_NS = 1_731_587_696_789_123_456
MOST_CUT = 60

precisions = st.none() | st.integers(0, 17)
metric_encoders: st.SearchStrategy[EncoderSpec] = st.one_of(
    st.builds(PrometheusText, precision=precisions),
    st.builds(JsonLines, precision=precisions),
    st.builds(RemoteWriteEncoder),
    st.builds(OtlpEncoder),
    st.builds(InfluxLp, field_key=st.sampled_from(["value", "a b,c=", "line\nfeed"]), precision=precisions),
)
log_encoders: st.SearchStrategy[EncoderSpec] = st.one_of(
    st.builds(JsonLines),
    st.builds(OtlpEncoder),
    st.builds(Syslog, hostname=st.sampled_from(["h", "two words", "line\nfeed"])),
)
KINDS: dict[str, tuple[st.SearchStrategy[Any], st.SearchStrategy[EncoderSpec]]] = {
    "metrics": (generators, metric_encoders),
    "histogram": (histograms, metric_encoders),
    "summary": (summaries, metric_encoders),
    "logs": (log_templates | replayed_rows(), log_encoders),
}


@st.composite
def plans(draw: st.DrawFn) -> EntryPlan:
    signal = draw(st.sampled_from(sorted(KINDS)))
    generator, encoder = KINDS[signal]
    return entry_plan(
        signal_type=signal,
        rate=3.0,
        name=draw(st.sampled_from(["up", "node:load1", "_p"])),
        generator=draw(generator),
        jitter=draw(st.sampled_from([0.0, 0.0, 0.5])),
        labels=draw(static_labels),
        dynamic_labels=draw(rotating_labels),
        cardinality_spikes=draw(label_spikes),
        encoder=draw(encoder),
    )


periods_ns = st.sampled_from([0, 1, 90, 1_000, 70_000, 333_333, 1_000_000, 1_500_000, 10**9])


def stamps(count: int, period_ns: int) -> Any:
    return EPOCH_2024_NS + np.arange(count) * period_ns


def test_every_encoder_is_covered_by_the_random_plans() -> None:
    """An encoder that is added to the table must be added to these properties."""
    assert set(encoders.BUILDERS) == {PrometheusText, JsonLines, InfluxLp, Syslog, RemoteWriteEncoder, OtlpEncoder}


@given(
    plan=plans(),
    metric_type=st.sampled_from([None, None, "counter", "histogram", "summary"]),
    sink=st.sampled_from([Memory(), RemoteWriteSink(url="http://h", protocol_version="2.0")]),
    first_tick=st.integers(0, 5000) | st.integers(0, 2**64 - 3000),
    cuts=st.lists(st.integers(1, MOST_CUT), min_size=1, max_size=4) | st.just([1, BATCH_EVENTS]),
    period_ns=periods_ns,
    spike_mask=st.integers(0, 7),
)
def test_any_cut_into_batches_gives_the_same_bytes(
    plan: EntryPlan,
    metric_type: MetricType | None,
    sink: SinkSpec,
    first_tick: int,
    cuts: list[int],
    period_ns: int,
    spike_mask: int,
) -> None:
    """Batches of any size give the bytes of single ticks; the largest those of batches that do."""
    shown_to = sink if isinstance(plan.encoder, RemoteWriteEncoder) else plan.sink
    plan = msgspec.structs.replace(plan, metric_type=metric_type, sink=shown_to)
    generator = generation.build(plan)
    encoder = encoders.build(plan)
    single = encoders.build(plan)
    instants = stamps(sum(cuts), period_ns)
    start = 0
    for count in cuts:
        part = slice(start, start + count)
        values = generator.values(first_tick + start, count)
        encoded = encoder.encode(Batch(first_tick + start, values, instants[part], spike_mask))
        assert encoded.events == count
        step = 1 if count <= MOST_CUT else MOST_CUT
        small = [
            single.encode(
                Batch(first_tick + start + k, values[k : k + step], instants[part][k : k + step], spike_mask)
            ).payload
            for k in range(0, count, step)
        ]
        assert encoded.payload == b"".join(small)
        start += count


@given(
    plan=plans(),
    first_tick=st.integers(0, 2**64 - 50),
    period_ns=periods_ns,
    spike_mask=st.integers(0, 7),
)
def test_lines_equal_the_per_event_reference(plan: EntryPlan, first_tick: int, period_ns: int, spike_mask: int) -> None:
    """Every line is that of its event alone."""
    values = generation.build(plan).values(first_tick, 12)
    instants = stamps(12, period_ns)
    encoded = encoders.build(plan).encode(Batch(first_tick, values, instants, spike_mask))
    events = [encode_event(plan, first_tick + k, values[k], instants.item(k), spike_mask) for k in range(12)]
    expected = [line for event in events for line in event]
    starts = [0, *encoded.record_ends().tolist()]
    assert [encoded.payload[start:end] for start, end in pairwise(starts)] == expected
    assert encoded.payload == b"".join(expected)
    assert encoded.ends().tolist() == list(accumulate(len(b"".join(event)) for event in events))


@pytest.mark.parametrize("spec", [PrometheusText(), JsonLines()])
@pytest.mark.parametrize("period_ns", [1, 100, 977, 60_000, 999_999, 1_000_000, 7_000_000])
def test_stamps_change_on_the_millisecond(spec: EncoderSpec, period_ns: int) -> None:
    """Each line carries its own stamp, floored to milliseconds, however many share one."""
    plan = entry_plan(encoder=spec, generator=Step(step_size=1))
    count = 2 * USUAL_BATCH_EVENTS
    values = generation.build(plan).values(0, count)
    instants = 1_731_587_696_999_000_000 + np.arange(count) * period_ns
    encoded = encoders.build(plan).encode(Batch(0, values, instants))
    expected = [encode_event(plan, k, values[k], instants.item(k))[0] for k in range(count)]
    assert encoded.payload.splitlines(keepends=True) == expected


@pytest.mark.parametrize("spec", [PrometheusText(), JsonLines(), InfluxLp()])
def test_stamps_before_the_epoch_are_refused(spec: EncoderSpec) -> None:
    """An event before 1970 has no text."""
    plan = entry_plan(encoder=spec)
    with pytest.raises(EncoderError, match=r"^timestamp before Unix epoch$"):
        encoders.build(plan).encode(Batch(0, np.array([1.0]), np.array([-1])))


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (PrometheusText(), b"x 1 0\n"),
        (JsonLines(), b'{"name":"x","value":1.0,"labels":{},"timestamp":"1970-01-01T00:00:00.000Z"}\n'),
    ],
)
def test_the_epoch_itself_is_a_stamp(spec: EncoderSpec, line: bytes) -> None:
    """Timestamp 0 prints as such."""
    encoded = encoders.build(entry_plan(encoder=spec)).encode(Batch(0, np.array([1.0]), np.array([0])))
    assert encoded.payload == line


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (PrometheusText(), 'link_rx_bytes{site="gru1",slot="3"} 1250 1731587696789\n'),
        (PrometheusText(precision=1), 'link_rx_bytes{site="gru1",slot="3"} 1250.0 1731587696789\n'),
        (
            JsonLines(),
            (
                '{"name":"link_rx_bytes","value":1250.0,"labels":{"site":"gru1","slot":"3"},'
                '"timestamp":"2024-11-14T12:34:56.789Z"}\n'
            ),
        ),
    ],
)
def test_recorded_lines(spec: EncoderSpec, line: str) -> None:
    """The recorded lines, byte for byte."""
    plan = entry_plan(name="link_rx_bytes", labels={"site": "gru1", "slot": "3"}, encoder=spec)
    encoded = encoders.build(plan).encode(Batch(0, np.array([1250.0]), np.array([EPOCH_2024_NS])))
    assert encoded.payload.decode() == line


def test_memory_does_not_grow_with_cardinality() -> None:
    """A rotation over 2^64 - 1 values is rendered for the ticks of a batch only."""
    plan = entry_plan(
        dynamic_labels=(RotatingLabel(key="id", cardinality=2**64 - 1, prefix="u"),), generator=Step(step_size=1)
    )
    encoded = encoders.build(plan).encode(Batch(2**64 - 3, np.array([1.0, 2.0, 3.0]), stamps(3, 0)))
    assert encoded.payload.decode().splitlines() == [
        'x{id="u18446744073709551613"} 1 1731587696789',
        'x{id="u18446744073709551614"} 2 1731587696789',
        'x{id="u0"} 3 1731587696789',
    ]


COUNTED = Histogram(
    distribution=Exponential(rate=3), buckets=(0.1, 1.0), observations_per_tick=2, mean_shift_per_sec=0.0, seed=1
)


@pytest.mark.parametrize(
    ("signal", "generator"), [("metrics", Sawtooth(min=0, max=1, period_secs=7)), ("histogram", COUNTED)]
)
@pytest.mark.parametrize("value", ["plain", "new\nline"])
def test_what_is_left_behind_some_events_keeps_its_ends(signal: str, generator: Any, value: str) -> None:
    """Events can be taken off the front, also where lines hold line feeds, and where an event has several lines."""
    plan = entry_plan(signal_type=signal, labels={"a": value}, generator=generator, encoder=InfluxLp())
    values = generation.build(plan).values(0, 40)
    instants = stamps(40, 400_000)
    whole = encoders.build(plan).encode(Batch(0, values, instants))
    for taken in (0, 1, 39):
        rest = whole.behind(taken)
        alone = encoders.build(plan).encode(Batch(taken, values[taken:], instants[taken:]))
        assert (rest.payload, rest.events) == (alone.payload, alone.events)
        assert rest.ends().tolist() == alone.ends().tolist()
        assert rest.record_ends().tolist() == alone.record_ends().tolist()
    nothing = whole.behind(40)
    assert (nothing.payload, nothing.events, nothing.ends().tolist()) == (b"", 0, [])


@pytest.mark.parametrize(
    ("signal", "generator", "spec", "reason"),
    [
        ("logs", LogTemplate(templates=()), PrometheusText(), "log encoding not supported by this encoder"),
        ("logs", LogTemplate(templates=()), InfluxLp(), "log encoding not supported by this encoder"),
        ("metrics", Step(step_size=1), Syslog(), "metric encoding not supported by syslog encoder"),
    ],
)
def test_a_signal_that_the_encoder_does_not_take_is_refused_at_the_first_event(
    signal: str, generator: Any, spec: EncoderSpec, reason: str
) -> None:
    """The encoder is built, and refuses the first batch."""
    plan = entry_plan(signal_type=signal, generator=generator, encoder=spec)
    encoder = encoders.build(plan)
    with pytest.raises(EncoderError, match=f"^{reason}$"):
        encoder.encode(Batch(0, generation.build(plan).values(0, 1), stamps(1, 0)))
