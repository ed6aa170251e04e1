"""Random parts of plans, for properties of everything that encodes them."""

from hypothesis import strategies as st

from common.plan import SEVERITIES, Cycle, Histogram, LabelSpike, ReplayRows, RotatingLabel, Summary
from common.specs import (
    Constant,
    DistributionSpec,
    Exponential,
    Flap,
    GeneratorSpec,
    LogTemplate,
    Normal,
    Sawtooth,
    Sequence,
    Sine,
    Spike,
    Step,
    Template,
    Uniform,
    UniformDistribution,
)

CYCLE = Cycle(every_ns=2_000_000_000, for_ns=1_000_000_000)

awkward_numbers = st.sampled_from(
    [0.0, -0.0, 1.0, -3.0, 0.1, 1e-7, -2.5e-9, 1e15, 1e16, 5e20, 123456789.125, 20 + 2**-16, 2.0**-25, 1 / 3]
) | st.floats(-1e6, 1e6)

generators: st.SearchStrategy[GeneratorSpec] = st.one_of(
    st.builds(Constant, value=awkward_numbers | st.sampled_from([float("nan"), float("inf"), float("-inf")])),
    st.builds(Uniform, min=awkward_numbers, max=awkward_numbers, seed=st.integers(0, 2**64 - 1)),
    st.builds(Sine, amplitude=awkward_numbers, period_secs=st.sampled_from([0.3, 1, 60]), offset=awkward_numbers),
    st.builds(Sawtooth, min=awkward_numbers, max=awkward_numbers, period_secs=st.sampled_from([0.0, 0.7, 16, 300])),
    st.builds(Sequence, values=st.lists(awkward_numbers, min_size=1, max_size=9).map(tuple), repeat=st.booleans()),
    st.builds(
        Spike,
        baseline=awkward_numbers,
        magnitude=awkward_numbers,
        duration_secs=st.just(1.5),
        interval_secs=st.just(4),
    ),
    st.builds(Step, step_size=awkward_numbers, start=awkward_numbers, max=st.none() | awkward_numbers),
    st.builds(Flap, up_value=awkward_numbers, down_value=awkward_numbers),
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['quo"te', "back\\slash", "new\nline", "a,b=c", "]", "{}", "tab\t", "\x00\x1f\x7f", "é漢\u2028"]
)
keys = st.sampled_from(["Z9", "_x", "a", "b_2", "host", "job", "zone"])
static_labels = st.dictionaries(keys, texts, max_size=4).map(lambda labels: dict(sorted(labels.items())))

_cardinalities = st.integers(1, 7) | st.sampled_from([1000, 4095, 4099, 100_003, 2**64 - 1])


def _listed(key: str, values: list[str]) -> RotatingLabel:
    return RotatingLabel(key=key, cardinality=len(values), prefix="", values=tuple(values))


rotating_labels = st.lists(
    st.one_of(
        st.builds(RotatingLabel, key=keys, cardinality=_cardinalities, prefix=texts),
        st.builds(_listed, keys, st.lists(texts, min_size=1, max_size=5)),
    ),
    max_size=3,
).map(tuple)

label_spikes = st.lists(
    st.builds(
        LabelSpike,
        key=keys,
        cycle=st.just(CYCLE),
        cardinality=_cardinalities,
        prefix=texts,
        strategy=st.sampled_from(["counter", "random"]),
        seed=st.integers(0, 2**64 - 1),
    ),
    max_size=3,
).map(tuple)

_distributions: st.SearchStrategy[DistributionSpec] = st.sampled_from(
    [Exponential(rate=3.0), Normal(mean=0.2, stddev=0.05), UniformDistribution(min=0.0, max=2.0)]
)
histograms = st.builds(
    Histogram,
    distribution=_distributions,
    buckets=st.sampled_from([(0.005, 0.5, 1.0, 1e22), (1e-7,)]),
    observations_per_tick=st.sampled_from([1, 10]),
    mean_shift_per_sec=st.just(0.0),
    seed=st.integers(0, 2**64 - 1),
)
summaries = st.builds(
    Summary,
    distribution=_distributions,
    quantiles=st.sampled_from([(0.5, 0.99), (0.25,)]),
    observations_per_tick=st.sampled_from([1, 10]),
    mean_shift_per_sec=st.just(0.0),
    seed=st.integers(0, 2**64 - 1),
)

_pool_names = st.sampled_from(["ip", "user", "severity", "{", 'q"', "é"])
_pools = st.lists(texts, max_size=4).map(tuple) | st.just(tuple(map(str, range(90))))
_messages = st.lists(
    st.sampled_from(["{ip}", "{user}", "{missing}", "{", "}", "{{}", '{"k":"{ip}"}', "{é}"]) | texts, max_size=5
).map("".join)
log_templates = st.builds(
    LogTemplate,
    templates=st.lists(
        st.builds(Template, message=_messages, field_pools=st.dictionaries(_pool_names, _pools, max_size=3)),
        max_size=4,
    ).map(tuple),
    severity_weights=st.none() | st.dictionaries(st.sampled_from(SEVERITIES), st.floats(0, 5), max_size=4),
    seed=st.integers(0, 2**64 - 1),
)


@st.composite
def replayed_rows(draw: st.DrawFn) -> ReplayRows:
    """Rows of a log file, some without some field."""
    count = draw(st.integers(1, 6))
    column = st.lists(texts, min_size=count, max_size=count).map(tuple)
    cells = st.lists(st.none() | texts, min_size=count, max_size=count).map(tuple)
    return ReplayRows(
        severities=bytes(draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))),
        messages=draw(column),
        fields=draw(st.dictionaries(_pool_names, cells, max_size=3)),
        repeat=draw(st.booleans()),
    )
