"""Histogram and summary: golden figures, agreement with a slow reference, independence of batch cuts."""

import math
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.plan import Histogram, Summary
from common.specs import DistributionSpec, Exponential, Normal, UniformDistribution
from tests.support.per_event import mix
from tests.support.plans import entry_plan
from worker.generators import Generator, build, most_ticks
from worker.generators.observations import _SLICE_DRAWS, Interrupted, Observations

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MASK = 2**64 - 1


def histogram(
    distribution: DistributionSpec,
    observations: int,
    seed: int,
    buckets: tuple[float, ...] = DEFAULT_BUCKETS,
    shift: float = 0.0,
) -> Histogram:
    return Histogram(
        distribution=distribution,
        buckets=buckets,
        observations_per_tick=observations,
        mean_shift_per_sec=shift,
        seed=seed,
    )


def summary(
    distribution: DistributionSpec,
    observations: int,
    seed: int,
    quantiles: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99),
    shift: float = 0.0,
) -> Summary:
    return Summary(
        distribution=distribution,
        quantiles=quantiles,
        observations_per_tick=observations,
        mean_shift_per_sec=shift,
        seed=seed,
    )


def generator(spec: Histogram | Summary, rate: float = 1.0) -> Generator:
    signal = "histogram" if isinstance(spec, Histogram) else "summary"
    return build(entry_plan(signal_type=signal, rate=rate, generator=spec))


def draws(distribution: DistributionSpec, seed: int, tick: int, count: int) -> list[float]:
    observations = Observations(histogram(distribution, count, seed), 1.0, lambda: False)
    slices = [part for part in observations.slices(0, tick + 1) if part.stop > tick]
    return slices[0].draws[:, tick - slices[0].start].tolist()


def test_first_draws_equal_the_recorded_ones() -> None:
    """Exponential and normal draws of seed 42, bit for bit."""
    assert draws(Exponential(rate=10), 42, 0, 5) == [
        0.022000574946790353,
        0.016370820484470503,
        0.018873313357083674,
        0.10828789091517022,
        0.055267798012795744,
    ]
    assert draws(Exponential(rate=10), 42, 1, 2) == [0.054442844046489504, 0.14142946017047303]
    assert draws(Normal(mean=0.1, stddev=0.02), 42, 0, 3) == [
        0.10898901504111125,
        0.10310299408669719,
        0.13667066120461982,
    ]


@pytest.mark.parametrize(
    ("spec", "rate", "rows"),
    [
        (
            histogram(Exponential(rate=10), 100, 42),
            1.0,
            [
                ([3, 11, 26, 46, 66, 90, 100, 100, 100, 100, 100, 100], 9.5055620358223809),
                ([6, 20, 51, 87, 126, 182, 200, 200, 200, 200, 200, 200], 19.41608766073961),
                ([11, 36, 76, 127, 186, 272, 300, 300, 300, 300, 300, 300], 29.698106446882431),
            ],
        ),
        (
            histogram(Normal(mean=0.25, stddev=0.1), 50, 7, (0.1, 0.2, 0.3, 0.4, 0.5), 0.02),
            2.0,
            [
                ([4, 17, 35, 45, 50, 50], 12.351523562583239),
                ([5, 27, 65, 90, 100, 100], 26.075833106354725),
                ([6, 41, 92, 130, 150, 150], 40.022406441773462),
            ],
        ),
        (
            histogram(UniformDistribution(min=0, max=2), 8, 1, (0.5, 1.0, 1.5)),
            1.0,
            [
                ([2, 5, 7, 8], 7.013203303126331),
                ([5, 9, 13, 16], 14.41877976859362),
                ([7, 14, 18, 24], 22.329748828305334),
            ],
        ),
    ],
)
def test_histograms_equal_the_recorded_ones(
    spec: Histogram, rate: float, rows: list[tuple[list[float], float]]
) -> None:
    """Counters of every bound and of infinity, then sum and count, cumulative over ticks."""
    expected = [[*counts, total, counts[-1]] for counts, total in rows]
    assert generator(spec, rate).values(0, len(rows)).tolist() == expected


def test_summaries_equal_the_recorded_ones() -> None:
    """Quantiles of each tick, sums over all, bit for bit."""
    normal = generator(summary(Normal(mean=0.1, stddev=0.02), 100, 42)).values(0, 2)
    assert normal.tolist() == [
        [
            0.098411751642429116,
            0.12816443902399924,
            0.13667066120461982,
            0.14845227857295329,
            9.802306512617367,
            100,
        ],
        [
            0.096497026199977853,
            0.11993252430829715,
            0.12711526003018447,
            0.13654694427409023,
            19.436268991636858,
            200,
        ],
    ]
    shifted = generator(summary(Exponential(rate=4), 10, 9, (0.1, 0.5, 0.9), 0.5), 2.0).values(0, 2)
    assert shifted[:, :3].tolist() == [
        [0.101781172794629, 0.16447053045378673, 0.4819306972650757],
        [0.33201049216666584, 0.38390388353665988, 0.68117113681450703],
    ]
    assert shifted[1, 3] == 7.8368337537591701


def test_a_float_product_decides_the_rank() -> None:
    """0.07 of 100 is 7.000000000000001 in float64, so the eighth observation is taken."""
    spec = summary(UniformDistribution(min=0, max=1), 100, 3, (0.07,))
    assert generator(spec).values(0, 1)[0, 0] == sorted(draws(spec.distribution, 3, 0, 100))[7]


def test_seeds_half_a_range_apart_give_the_same_stream() -> None:
    """The tick factor is even, so the highest bit of a seed is lost."""
    first = generator(histogram(Exponential(rate=1), 10, 5)).values(0, 20)
    second = generator(histogram(Exponential(rate=1), 10, 5 + 2**63)).values(0, 20)
    assert first.tolist() == second.tolist()


def slow_draw(distribution: DistributionSpec, number: int, shift: float) -> float:
    def unit(value: int) -> float:
        return (mix(value) >> 11) / 2.0**53

    match distribution:
        case Exponential(rate=rate):
            return -math.log(1.0 - min(unit(number), 1.0 - 2.0**-52)) / rate + shift
        case Normal(mean=mean, stddev=stddev):
            radius = math.sqrt(-2.0 * math.log(max(unit(number), 2.0**-52)))
            angle = (2.0 * math.pi) * unit(mix((number + 1) & MASK))
            return (mean + shift) + stddev * (radius * math.cos(angle))
        case UniformDistribution(min=low, max=high):
            return (low + unit(number) * (high - low)) + shift


distributions: st.SearchStrategy[DistributionSpec] = st.one_of(
    st.builds(Exponential, rate=st.floats(0.01, 100)),
    st.builds(Normal, mean=st.floats(-2, 2), stddev=st.floats(0.001, 5)),
    st.builds(UniformDistribution, min=st.floats(-5, 0), max=st.floats(0.5, 5)),
)
shifts = st.sampled_from([0.0, 0.1, -3.0])


@given(
    distribution=distributions,
    per_tick=st.integers(1, 40),
    seed=st.integers(0, MASK),
    shift=shifts,
    first_tick=st.integers(0, 10**6) | st.just(2**53 + 1),
    rate=st.sampled_from([0.5, 3.0, 333.0]),
)
def test_ticks_equal_a_slow_reference(
    distribution: DistributionSpec, per_tick: int, seed: int, shift: float, first_tick: int, rate: float
) -> None:
    """Three observed ticks, the second after a jump of the tick number, computed one observation at a time."""
    buckets, quantiles = (0.1, 0.5, 1.0, 2.0), (0.01, 0.5, 0.99)
    counted = generator(histogram(distribution, per_tick, seed, buckets, shift), rate)
    summed = generator(summary(distribution, per_tick, seed, quantiles, shift), rate)
    counts, total = [0] * len(buckets), 0.0
    for observed, tick in enumerate([first_tick, first_tick + 100, first_tick + 101]):
        base = ((seed * 0x517CC1B727220A95) + observed) * 0x6C62272E07BB0142 & MASK
        tick_shift = shift * (float(tick) / rate)
        observations = [slow_draw(distribution, (base + place) & MASK, tick_shift) for place in range(per_tick)]
        for value in observations:
            total += value
        counts = [
            known + sum(value <= bound for value in observations) for known, bound in zip(counts, buckets, strict=True)
        ]
        count = per_tick * (observed + 1)
        ascending = sorted(observations)
        ranks = [min(max(math.ceil(q * per_tick) - 1, 0), per_tick - 1) for q in quantiles]
        assert counted.values(tick, 1).tolist() == [[*counts, count, total, count]]
        assert summed.values(tick, 1).tolist() == [[*(ascending[rank] for rank in ranks), total, count]]


@settings(max_examples=30, deadline=None)
@given(
    distribution=distributions,
    per_tick=st.sampled_from([1, 7, 100, _SLICE_DRAWS // 3, _SLICE_DRAWS + 1]),
    shift=shifts,
    cuts=st.lists(st.integers(1, 5), min_size=2, max_size=3),
)
def test_rows_do_not_depend_on_the_cut_into_batches(
    distribution: DistributionSpec, per_tick: int, shift: float, cuts: list[int]
) -> None:
    """Any cut gives the same rows, also where a tick has more observations than are drawn at a time."""
    for spec in (histogram(distribution, per_tick, 11, shift=shift), summary(distribution, per_tick, 11, shift=shift)):
        whole = generator(spec, 10.0).values(0, sum(cuts))
        cut = generator(spec, 10.0)
        starts = np.cumsum([0, *cuts[:-1]]).tolist()
        parts = [cut.values(start, count) for start, count in zip(starts, cuts, strict=True)]
        assert np.concatenate(parts).tolist() == whole.tolist()


@given(
    distribution=distributions,
    per_tick=st.integers(1, 50),
    seed=st.integers(0, MASK),
    kind=st.sampled_from([histogram, summary]),
    before=st.integers(0, 20),
)
def test_a_generator_goes_on_from_the_totals_of_another(
    distribution: DistributionSpec, per_tick: int, seed: int, kind: Callable[..., Histogram | Summary], before: int
) -> None:
    spec = kind(distribution, per_tick, seed)
    whole, first, second = generator(spec, 2.0), generator(spec, 2.0), generator(spec, 2.0)
    expected = whole.values(0, before + 5)[before:]
    if before:
        first.values(0, before)
    second.totals = msgspec.msgpack.decode(msgspec.msgpack.encode(first.totals))
    assert np.array_equal(second.values(before, 5), expected, equal_nan=True)


@given(distribution=distributions, per_tick=st.integers(1, 50), seed=st.integers(0, MASK))
def test_counters_never_fall_and_quantiles_ascend(distribution: DistributionSpec, per_tick: int, seed: int) -> None:
    """Counters grow over bounds and ticks, infinity holds the count, quantiles do not descend."""
    rows = generator(histogram(distribution, per_tick, seed)).values(0, 50)
    counters = rows[:, :-2]
    assert (np.diff(counters, axis=0) >= 0).all()
    assert (np.diff(counters, axis=1) >= 0).all()
    assert (counters[:, -1] == rows[:, -1]).all()
    quantiles = generator(summary(distribution, per_tick, seed)).values(0, 50)[:, :-2]
    assert (np.diff(quantiles, axis=1) >= 0).all()


def test_values_at_or_below_zero_count_everywhere() -> None:
    """A shift far below zero puts every observation into every bucket."""
    rows = generator(histogram(Normal(mean=0, stddev=1), 10, 1, shift=-1e6)).values(1, 1)
    assert rows[0, :-2].tolist() == [10.0] * 12


def test_a_stop_interrupts_a_tick_of_many_observations() -> None:
    """The question is asked before every slice, so a tick of billions of observations ends soon after a stop."""
    asked: list[bool] = []

    def interrupted() -> bool:
        asked.append(len(asked) == 2)
        return asked[-1]

    plan = entry_plan(signal_type="histogram", generator=histogram(Exponential(rate=1), 2**32 - 1, 1))
    with pytest.raises(Interrupted):
        build(plan, interrupted).values(0, 1)
    assert asked == [False, False, True]


@pytest.mark.parametrize(("observations", "ticks"), [(1, 1024), (100, 1024), (10_000, 100), (2**32 - 1, 1)])
def test_ticks_of_many_observations_are_asked_for_in_small_numbers(observations: int, ticks: int) -> None:
    """However many observations a tick has, one call draws about a million."""
    spec = summary(Exponential(rate=1), observations, 1)
    assert most_ticks(entry_plan(signal_type="summary", generator=spec)) == ticks
