"""Sums, histograms and summaries of OpenTelemetry, as the project's own generated classes read them."""

import math
import struct
import sys
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from common.plan import EntryPlan, Silence, Summary
from common.specs import Exponential, OtlpEncoder, Sequence, Step
from tests.support.entries import histograms, label_spikes, rotating_labels, static_labels, summaries
from tests.support.per_event import labels_of
from tests.support.plans import entry_plan
from tests.support.protobuf_classes import frames_of
from worker import encoders, generators
from worker.ticks.batch import Batch
from worker.ticks.production import Production
from worker.ticks.schedule import NEVER_NS, Schedule

START_NS = 1731587696789123456
PERIOD_NS = 10**9 // 3
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
TICKS = 12
SUMMARY = Summary(
    distribution=Exponential(rate=1.0), quantiles=(0.5,), observations_per_tick=3, mean_shift_per_sec=0.0, seed=1
)

rotating = {"labels": static_labels, "dynamic_labels": rotating_labels}
labelled = st.fixed_dictionaries(rotating | {"cardinality_spikes": label_spikes})


def plan_of(**fields: Any) -> EntryPlan:
    return entry_plan(name="fan_rpm", rate=3.0, encoder=OtlpEncoder(), **fields)


def encoded(plan: EntryPlan, values: np.ndarray, first_tick: int = 0, spike_mask: int = 0) -> list[Metric]:
    stamps = START_NS + np.arange(first_tick, first_tick + len(values)) * PERIOD_NS
    made = encoders.build(plan).encode(Batch(first_tick, values, stamps, spike_mask, START_NS))
    frames = frames_of(made.payload)
    assert made.record_ends().tolist() == np.cumsum([len(frame) + 4 for frame in frames]).tolist()
    assert made.events * made.records_per_event == len(frames)
    return [Metric.FromString(frame) for frame in frames]


def instants(point: Any) -> tuple[int, int]:
    return point.start_time_unix_nano, point.time_unix_nano


def attributes(point: Any) -> list[tuple[str, str]]:
    return [(one.key, one.value.string_value) for one in point.attributes]


@given(
    values=st.lists(st.floats() | st.sampled_from([0.0, -0.0, float("nan")]), min_size=1, max_size=TICKS),
    fields=labelled,
    first_tick=st.integers(0, 10**6),
    spike_mask=st.integers(0, 7),
)
def test_counters_are_sums(values: list[float], fields: dict[str, Any], first_tick: int, spike_mask: int) -> None:
    """Cumulative and monotonic, counting since one interval before the first tick; values to the last bit."""
    plan = plan_of(metric_type="counter", help="Turns.", **fields)
    metrics = encoded(plan, np.array(values), first_tick, spike_mask)
    for place, (metric, value) in enumerate(zip(metrics, values, strict=True)):
        assert (metric.name, metric.description) == ("fan_rpm", "Turns.")
        assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, CUMULATIVE)
        (point,) = metric.sum.data_points
        assert instants(point) == (START_NS - PERIOD_NS, START_NS + (first_tick + place) * PERIOD_NS)
        assert struct.pack("<d", point.as_double) == struct.pack("<d", value)
        assert attributes(point) == list(labels_of(plan, first_tick + place, spike_mask).items())


@given(generator=histograms, fields=labelled, spike_mask=st.integers(0, 7))
def test_histograms_have_their_buckets(generator: Any, fields: dict[str, Any], spike_mask: int) -> None:
    """Each bucket has what lies in it alone; together they are the count."""
    plan = plan_of(signal_type="histogram", metric_type="histogram", generator=generator, **fields)
    values = generators.build(plan).values(0, TICKS)
    for tick, metric in enumerate(encoded(plan, values, spike_mask=spike_mask)):
        assert metric.histogram.aggregation_temporality == CUMULATIVE
        (point,) = metric.histogram.data_points
        assert instants(point) == (START_NS - PERIOD_NS, START_NS + tick * PERIOD_NS)
        assert list(point.explicit_bounds) == list(generator.buckets)
        assert np.cumsum(point.bucket_counts).tolist() == values[tick, :-2].tolist()
        assert point.count == sum(point.bucket_counts) == values[tick, -1]
        assert struct.pack("<d", point.sum) == struct.pack("<d", values[tick, -2])
        assert attributes(point) == list(labels_of(plan, tick, spike_mask).items())


def run_of(plan: EntryPlan, limits: list[int]) -> list[Metric]:
    """The points of some batches, of at most so many ticks each, as a run makes them."""
    plan = msgspec.structs.replace(plan, encoder=OtlpEncoder(temporality="delta"))
    schedule = Schedule(plan, START_NS)
    generator, encoder = generators.build(plan), encoders.build(plan)
    metrics: list[Metric] = []
    now_ns = 0
    production = Production(schedule, generator, encoder, max(limits), looks_ahead=False, looks_back=True)
    for limit in limits:
        now_ns += limit * PERIOD_NS
        while (events := production.take(now_ns, NEVER_NS)) is not None:
            metrics += map(Metric.FromString, frames_of(events.encoded.payload))
    return metrics


@given(
    counted=st.lists(st.integers(0, 2**52), min_size=1, max_size=TICKS),
    fields=st.fixed_dictionaries(rotating),
    limits=st.lists(st.integers(1, TICKS), min_size=1, max_size=5),
)
def test_deltas_of_a_counter_add_up(counted: list[int], fields: dict[str, Any], limits: list[int]) -> None:
    """Monotonic, each behind the one before; a fall is a new beginning."""
    plan = plan_of(metric_type="counter", generator=Sequence(values=tuple(map(float, counted))), **fields)
    metrics = run_of(plan, limits)
    assert all((metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, DELTA) for metric in metrics)
    points = [metric.sum.data_points[0] for metric in metrics]
    ticks = range(len(metrics))
    values = [counted[tick % len(counted)] for tick in ticks]
    pairs = pairwise([0, *values])
    assert [point.as_double for point in points] == [now - was if now >= was else now for was, now in pairs]
    assert [point.time_unix_nano for point in points] == [START_NS + round(tick * 10**9 / 3) for tick in ticks]
    starts = [point.start_time_unix_nano for point in points]
    assert starts == [START_NS - PERIOD_NS, *(point.time_unix_nano for point in points[:-1])]
    assert [attributes(point) for point in points] == [list(labels_of(plan, tick, 0).items()) for tick in ticks]


def test_deltas_know_no_bounds() -> None:
    """An infinite counter adds nothing once it is there, and the widest step is an infinite one."""
    inf, most = math.inf, sys.float_info.max
    plan = plan_of(metric_type="counter", generator=Sequence(values=(inf, inf, -most, most, -inf, -inf)))
    points = [metric.sum.data_points[0].as_double for metric in run_of(plan, [4, 2])]
    assert points[:6] == [inf, 0.0, -most, inf, -inf, 0.0]


@given(generator=histograms, limits=st.lists(st.integers(1, TICKS), min_size=1, max_size=5))
def test_deltas_of_a_histogram_are_what_a_tick_observed(generator: Any, limits: list[int]) -> None:
    """Whatever was silent in between."""
    silence = Silence(start_ns=2 * PERIOD_NS, end_ns=4 * PERIOD_NS)
    plan = plan_of(signal_type="histogram", metric_type="histogram", generator=generator, gap_windows=(silence,))
    metrics = run_of(plan, limits)
    assert all(metric.histogram.aggregation_temporality == DELTA for metric in metrics)
    points = [metric.histogram.data_points[0] for metric in metrics]
    assert {point.count for point in points} == {generator.observations_per_tick}
    assert all(sum(point.bucket_counts) == point.count for point in points)
    ticks = [round((point.time_unix_nano - START_NS) * 3 / 10**9) for point in points]
    rows = generators.build(plan)
    observed = np.concatenate([rows.values(tick, 1) for tick in ticks])
    assert (
        np.cumsum([point.bucket_counts for point in points], axis=0).tolist()
        == np.diff(observed[:, :-2], axis=1, prepend=0.0).tolist()
    )
    assert np.cumsum([point.sum for point in points]) == pytest.approx(observed[:, -2], rel=1e-9, abs=1e-9)
    assert all(point.time_unix_nano - point.start_time_unix_nano - PERIOD_NS in (0, 1) for point in points[1:])


def test_a_gauge_and_a_summary_are_the_same_under_any_temporality() -> None:
    """They have none."""
    for fields in ({}, {"signal_type": "summary", "metric_type": "summary", "generator": SUMMARY}):
        plan = plan_of(**fields)
        asked = msgspec.structs.replace(plan, encoder=OtlpEncoder(temporality="delta"))
        values = generators.build(plan).values(0, TICKS)
        assert encoded(asked, values) == encoded(plan, values)


@given(generator=summaries, fields=labelled, spike_mask=st.integers(0, 7))
def test_summaries_have_their_quantiles(generator: Any, fields: dict[str, Any], spike_mask: int) -> None:
    """Those of the tick, with sum and count since the start."""
    plan = plan_of(signal_type="summary", metric_type="summary", generator=generator, **fields)
    values = generators.build(plan).values(0, TICKS)
    for tick, metric in enumerate(encoded(plan, values, spike_mask=spike_mask)):
        (point,) = metric.summary.data_points
        assert instants(point) == (START_NS - PERIOD_NS, START_NS + tick * PERIOD_NS)
        assert [one.quantile for one in point.quantile_values] == list(generator.quantiles)
        assert [one.value for one in point.quantile_values] == values[tick, :-2].tolist()
        assert (point.sum, point.count) == (values[tick, -2], values[tick, -1])
        assert attributes(point) == list(labels_of(plan, tick, spike_mask).items())


@pytest.mark.parametrize(
    "fields",
    [
        {"generator": Step(step_size=1.0)},
        {"metric_type": "gauge"},
        {"metric_type": "untyped"},
        {"metric_type": "histogram"},
    ],
)
def test_what_does_not_say_that_it_counts_is_a_gauge(fields: dict[str, Any]) -> None:
    """Also what is written under a type that one number cannot have; a gauge has no start."""
    (metric,) = encoded(plan_of(**fields), np.array([2.5]))
    (point,) = metric.gauge.data_points
    assert instants(point) == (0, START_NS)
    assert metric.description == ""


@given(generator=histograms)
def test_histograms_are_gauges_unless_asked_for(generator: Any) -> None:
    """One for each series of the text formats."""
    plan = plan_of(signal_type="histogram", generator=generator)
    metrics = encoded(plan, generators.build(plan).values(0, 1))
    names = [f"fan_rpm_{part}" for part in (*["bucket"] * (len(generator.buckets) + 1), "sum", "count")]
    assert [metric.name for metric in metrics] == names
    assert all(len(metric.gauge.data_points) == 1 for metric in metrics)


def test_a_start_that_nobody_knows_is_none() -> None:
    """Of a single event, for one."""
    for encoder in (OtlpEncoder(), OtlpEncoder(temporality="delta")):
        plan = msgspec.structs.replace(plan_of(metric_type="counter"), encoder=encoder)
        made = encoders.build(plan).encode(Batch(0, np.array([1.0]), np.array([START_NS])))
        (point,) = Metric.FromString(made.payload[4:]).sum.data_points
        assert (*instants(point), point.as_double) == (0, START_NS, 1.0)
