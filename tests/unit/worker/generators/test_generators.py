"""Metric generators: golden values, agreement with a scalar reference, independence of batch cuts."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.plan import ReplayColumn, ReplayRows
from common.specs import (
    Constant,
    Flap,
    GeneratorSpec,
    Kafka,
    LogTemplate,
    Loki,
    Memory,
    OtlpGrpc,
    RemoteWriteSink,
    Sawtooth,
    Sequence,
    Sine,
    SinkSpec,
    Spike,
    Step,
    Uniform,
)
from tests.support.plans import entry_plan
from worker.generators import BUILDERS, Generator, build, most_ticks
from worker.ticks.batch import BATCH_EVENTS

LAST_TICK = 2**64 - 1


MetricsPlan = GeneratorSpec | ReplayColumn


def generator(spec: MetricsPlan, rate: float = 1.0, **fields: Any) -> Generator:
    return build(entry_plan(generator=spec, rate=rate, **fields))


def at(spec: MetricsPlan, rate: float, tick: int, **fields: Any) -> float:
    return float(generator(spec, rate, **fields).values(tick, 1)[0])


SINE = Sine(amplitude=20, period_secs=8, offset=40)
SINE_50 = Sine(amplitude=50, period_secs=4, offset=50)
SINE_ODD = Sine(amplitude=5, period_secs=7.3, offset=-1)
RAMP = Sawtooth(min=10, max=70, period_secs=5)
SHORT_RAMP = Sawtooth(min=0, max=1, period_secs=0.7)
STEP_WRAP = Step(step_size=4, start=10, max=25)

GOLDEN: list[tuple[MetricsPlan, float, dict[int, float]]] = [
    (
        SINE,
        2,
        {
            0: 40,
            1: 47.653668647301799,
            2: 54.142135623730951,
            3: 58.477590650225736,
            4: 60,
            8: 40,
            16: 39.999999999999993,
            17: 47.653668647301799,
            1000003: 58.477590650108866,
        },
    ),
    (SINE_50, 2, dict(enumerate([50, 85.35533905932738, 100, 85.35533905932738]))),
    (
        Sine(amplitude=50, period_secs=10, offset=50),
        2,
        dict(enumerate([50, 65.45084971874736, 79.38926261462366, 90.45084971874738])),
    ),
    (
        SINE_ODD,
        3,
        {1: 0.41491798988921236, 2: 1.7141657225344842, 21: -2.2767664755809318, 1000003: 3.9844456594793858},
    ),
    (RAMP, 3, {0: 10, 1: 14, 2: 18, 7: 38, 14: 66, 15: 10, 1000003: 62}),
    (
        SHORT_RAMP,
        3,
        {1: 0.47619047619047628, 2: 0.95238095238095255, 3: 0.42857142857142883, 21: 1.6917684184764293e-15},
    ),
    (Sawtooth(min=0, max=10, period_secs=-0.5), 8, dict(enumerate([0, -2.5, -5, -7.5, 0]))),
    (
        Uniform(min=0, max=1),
        1,
        {
            0: 0.88331080821364272,
            1: 0.56656157517228101,
            2: 0.59118973419807952,
            3: 0.11345034205715465,
            1000003: 0.35156743067245383,
        },
    ),
    (Uniform(min=10, max=90, seed=42), 1, dict(enumerate([69.32519030174588, 68.2543018631486, 27.068700996215277]))),
    (
        Uniform(min=-5, max=5, seed=7),
        1,
        dict(enumerate([-1.1017025160872844, 2.398170143550824, -1.1323195401606596, -0.68544182255026165])),
    ),
    (
        Step(step_size=0.1),
        1,
        {3: 0.30000000000000004, 6: 0.60000000000000009, 7: 0.70000000000000007, 1000003: 100000.3},
    ),
    (STEP_WRAP, 1, {**dict(enumerate([10, 14, 18, 22, 11, 15])), 15: 10, 1000003: 17}),
    (
        Step(step_size=0.3, start=1, max=2),
        1,
        dict(enumerate([1, 1.3, 1.6000000000000001, 1.8999999999999999, 1.2, 1.5])),
    ),
    (Step(step_size=-2.5, start=0, max=10), 1, dict(enumerate([0, 7.5, 5, 2.5, 0, 7.5]))),
    (
        Spike(baseline=2, magnitude=8, duration_secs=1.2, interval_secs=2.9),
        2,
        dict(enumerate([10, 10, 10, 2, 2, 2, 10, 10, 10, 2, 2, 2, 10])),
    ),
    (Sequence(values=(1, 2, 3)), 1, {2**32: 2, LAST_TICK: 1}),
    (Sequence(values=(1, 2, 3), repeat=False), 1, {0: 1, 1: 2, 2: 3, 3: 3, 2**32: 3, LAST_TICK: 3}),
    (Flap(enum="neighbor_state", up_duration="2s", down_duration="2s"), 1, dict(enumerate([6, 6, 1, 1, 6, 6]))),
    (Flap(up_duration="5s", down_duration="1s"), 0.5, dict(enumerate([1, 1, 1, 0, 1, 1, 1, 0]))),
    (Flap(up_duration="1s", down_duration="60s"), 0.05, dict(enumerate([1, 0, 0, 0, 1, 0]))),
    (Constant(value=-0.0), 1, {0: -0.0, LAST_TICK: -0.0}),
]


@pytest.mark.parametrize(("spec", "rate", "expected"), GOLDEN)
def test_values_equal_the_recorded_ones_bit_for_bit(spec: MetricsPlan, rate: float, expected: dict[int, float]) -> None:
    """Every recorded figure is reproduced, tick by tick."""
    assert {tick: at(spec, rate, tick) for tick in expected} == expected


@pytest.mark.parametrize(
    ("value", "amplitude", "seed", "expected"),
    [
        (100.0, 5.0, 42, [102.70657953697628]),
        (
            0.0,
            1.0,
            0,
            [-0.47195934609495382, -0.22163354221476916, -0.49625782323755474, 0.55956715658656742, 0.4267708971837072],
        ),
        (20.0, 0.5, 3, [20.279783578293284, 19.751871088381222, 19.889183228892616]),
    ],
)
def test_jitter_equals_the_recorded_one(value: float, amplitude: float, seed: int, expected: list[float]) -> None:
    """Jitter adds the recorded noise."""
    noisy = generator(Constant(value=value), jitter=amplitude, jitter_seed=seed)
    assert noisy.values(0, len(expected)).tolist() == expected


def test_zero_jitter_leaves_the_sign_of_zero_alone() -> None:
    """No addition is performed when the amplitude is 0: -0.0 stays -0.0."""
    assert math.copysign(1.0, at(Constant(value=-0.0), 1.0, 0, jitter=-0.0)) == -1.0


def test_equal_jitter_seeds_give_equal_noise() -> None:
    """Two entries with the same amplitude and seed carry the same noise, whatever their values are."""
    first = generator(Constant(value=0), jitter=2.0, jitter_seed=9).values(0, 100)
    second = generator(Sequence(values=(0, 0)), jitter=2.0, jitter_seed=9).values(0, 100)
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize(
    ("spec", "rate", "expected"),
    [
        (Sine(amplitude=1, period_secs=0, offset=2), 1, [math.nan] * 3),
        (Sawtooth(min=0, max=1, period_secs=0), 1, [math.nan] * 3),
        (Sawtooth(min=5, max=5, period_secs=3), 1, [5.0] * 3),
        (Sawtooth(min=0, max=1, period_secs=math.inf), 1, [0.0] * 3),
        (Step(step_size=1, start=3, max=3), 1, [3.0, 4.0, 5.0]),
        (Step(step_size=1, start=3, max=math.nan), 1, [3.0, 4.0, 5.0]),
        (Spike(baseline=1, magnitude=1, duration_secs=5, interval_secs=2), 1, [2.0] * 3),
        (Spike(baseline=1, magnitude=1, duration_secs=0, interval_secs=2), 1, [1.0] * 3),
        (Sequence(values=(math.nan, math.inf)), 1, [math.nan, math.inf, math.nan]),
        (Sine(amplitude=math.inf, period_secs=4, offset=0), 1, [math.nan, math.inf, math.inf]),
    ],
)
def test_degenerate_parameters_give_ieee_results_without_warnings(
    spec: MetricsPlan, rate: float, expected: list[float]
) -> None:
    """NaN and infinities come out as IEEE 754 says; nothing is raised or warned."""
    np.testing.assert_array_equal(generator(spec, rate).values(0, 3), expected)


def test_uniform_whose_width_overflows_still_answers() -> None:
    """`max - min` beyond float64 gives infinities or NaN, not an error."""
    values = generator(Uniform(min=-1e308, max=1e308), 1).values(0, 10)
    assert not np.isfinite(values).any()


def mix(number: int) -> int:
    mask = 2**64 - 1
    number = (number + 0x9E3779B97F4A7C15) & mask
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & mask
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & mask
    return number ^ (number >> 31)


def reference(spec: MetricsPlan, rate: float, tick: int) -> float:
    """One value in plain Python, straight from the formulas."""
    match spec:
        case Constant():
            return spec.value
        case Uniform():
            return spec.min + (float(mix(spec.seed ^ tick)) / 2.0**64) * (spec.max - spec.min)
        case Sine():
            return spec.offset + spec.amplitude * math.sin(((2.0 * math.pi) * float(tick)) / (spec.period_secs * rate))
        case Sawtooth():
            period = spec.period_secs * rate
            return spec.min + (math.fmod(float(tick), period) / period) * (spec.max - spec.min)
        case Sequence():
            length = len(spec.values)
            return spec.values[tick % length if spec.repeat else min(tick, length - 1)]
        case ReplayColumn():
            cells = np.frombuffer(spec.values, dtype="<f8").tolist()
            return float(cells[tick % len(cells) if spec.repeat else min(tick, len(cells) - 1)])
        case Flap(up_value=up, down_value=down):
            up_ticks, down_ticks = spec.ticks(rate)
            assert up is not None
            assert down is not None
            return up if tick % (up_ticks + down_ticks) < up_ticks else down
        case Spike():
            high = math.fmod(float(tick), spec.interval_secs * rate) < spec.duration_secs * rate
            return spec.baseline + spec.magnitude if high else spec.baseline
        case Step():
            raw = float(tick) * spec.step_size
            if spec.max is None or not spec.max > spec.start:
                return spec.start + raw
            width = spec.max - spec.start
            rest = math.fmod(raw, width)
            return spec.start + (rest + width if rest < 0 else rest)


finite = st.floats(-1e9, 1e9)
positive = st.floats(1e-3, 1e6)
seeds = st.integers(0, LAST_TICK)
specs: st.SearchStrategy[MetricsPlan] = st.one_of(
    st.builds(Constant, value=finite),
    st.builds(Uniform, min=finite, max=finite, seed=seeds),
    st.builds(Sine, amplitude=finite, period_secs=positive, offset=finite),
    st.builds(Sawtooth, min=finite, max=finite, period_secs=positive),
    st.builds(Sequence, values=st.lists(finite, min_size=1, max_size=9).map(tuple), repeat=st.booleans()),
    st.builds(Spike, baseline=finite, magnitude=finite, duration_secs=positive, interval_secs=positive),
    st.builds(Step, step_size=finite, start=finite, max=st.none() | finite),
    st.builds(
        Flap,
        up_duration=st.sampled_from(["1000s", "3h"]),
        down_duration=st.sampled_from(["1s", "1ms", "100h"]),
        up_value=finite,
        down_value=finite,
    ),
    st.builds(
        ReplayColumn,
        values=st.lists(finite, min_size=1, max_size=9).map(lambda cells: np.array(cells).tobytes()),
        repeat=st.booleans(),
    ),
)
start_ticks = st.one_of(
    st.integers(0, 100_000),
    st.sampled_from([2**32 - 2, 2**53 - 2, 2**63, LAST_TICK - 6]),
    st.integers(0, LAST_TICK - 6),
)


def test_every_kind_is_covered_by_the_random_specifications() -> None:
    """A generator kind that is added to the table must be added to these properties."""
    logged = {LogTemplate, ReplayRows}
    metrics = {Constant, Uniform, Sine, Sawtooth, Sequence, Spike, Step, Flap, ReplayColumn}
    assert set(BUILDERS) == metrics | logged


@given(spec=specs, rate=positive, first_tick=start_ticks)
def test_columns_equal_the_scalar_formulas(spec: MetricsPlan, rate: float, first_tick: int) -> None:
    """A column holds exactly what the formulas give one tick at a time, up to the last tick number."""
    column = generator(spec, rate).values(first_tick, 6).tolist()
    assert column == [reference(spec, rate, first_tick + place) for place in range(6)]


@given(
    spec=specs,
    rate=positive,
    jitter=st.sampled_from([0.0, 1.5]),
    first_tick=st.integers(0, 10_000),
    cuts=st.lists(st.integers(1, BATCH_EVENTS), min_size=1, max_size=6),
)
def test_values_do_not_depend_on_the_cut_into_batches(
    spec: MetricsPlan, rate: float, jitter: float, first_tick: int, cuts: list[int]
) -> None:
    """Any cut of a run of ticks gives the same values as asking for one tick at a time."""
    cut = generator(spec, rate, jitter=jitter, jitter_seed=3)
    fresh = generator(spec, rate, jitter=jitter, jitter_seed=3)
    tick = first_tick
    pieces = []
    for count in cuts:
        pieces.append(cut.values(tick, count).copy())
        tick += count
    whole = np.concatenate(pieces)
    places = range(0, len(whole), max(len(whole) // 20, 1))
    assert [whole[place] for place in places] == [fresh.values(first_tick + place, 1)[0] for place in places]


@pytest.mark.parametrize(
    ("signal_type", "sink", "ticks"),
    [
        ("metrics", Memory(), 1024),
        ("metrics", RemoteWriteSink(url="http://x", batch_size=5), 1024),
        ("metrics", RemoteWriteSink(url="http://x", batch_size=500), 2000),
        ("metrics", OtlpGrpc(endpoint="http://x", signal_type="metrics", batch_size=1000), 4000),
        ("metrics", RemoteWriteSink(url="http://x", batch_size=100_000), 4096),
        ("metrics", Kafka(brokers="x:9092", topic="t"), 4096),
        ("logs", Loki(url="http://x", batch_size=1000), 1024),
        ("logs", Kafka(brokers="x:9092", topic="t"), 1024),
    ],
)
def test_batches_are_large_where_requests_are(signal_type: str, sink: SinkSpec, ticks: int) -> None:
    """Up to four requests of samples are asked for at a time."""
    assert most_ticks(entry_plan(signal_type=signal_type, sink=sink)) == ticks


@given(seed=seeds, first_tick=st.integers(0, LAST_TICK - BATCH_EVENTS), bounds=st.tuples(finite, finite))
def test_uniform_stays_within_its_bounds(seed: int, first_tick: int, bounds: tuple[float, float]) -> None:
    """Uniform values lie between min and max, in either order, up to the rounding of the addition."""
    values = generator(Uniform(min=bounds[0], max=bounds[1], seed=seed)).values(first_tick, BATCH_EVENTS)
    margin = np.spacing(max(abs(bounds[0]), abs(bounds[1])))
    assert values.min() >= min(bounds) - margin
    assert values.max() <= max(bounds) + margin


@given(amplitude=st.floats(1e-6, 1e6), seed=seeds)
def test_jitter_stays_within_its_amplitude(amplitude: float, seed: int) -> None:
    """Noise lies within plus and minus the amplitude."""
    noise = generator(Constant(value=0), jitter=amplitude, jitter_seed=seed).values(0, BATCH_EVENTS)
    assert np.abs(noise).max() <= amplitude


def test_a_recording_stands_still_where_it_has_no_sample() -> None:
    """So what is counted from one sample to the next is known across those that are absent."""
    recorded = np.array([5.0, math.nan, math.nan, 9.0, math.nan])
    values = generator(ReplayColumn(values=recorded.tobytes(), repeat=True)).values(0, 6)
    assert values.tolist() == [5.0, 5.0, 5.0, 9.0, 9.0, 5.0]
