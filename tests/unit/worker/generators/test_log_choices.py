"""Log generators: golden events, agreement with a scalar reference, replayed rows, independence of batch cuts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.plan import SEVERITIES, ReplayRows
from common.specs import LogTemplate, Template
from tests.support.per_event import mix
from tests.support.plans import entry_plan
from worker.generators import Generator, build
from worker.ticks.batch import BATCH_EVENTS

LAST_TICK = 2**64 - 1

LOGIN = Template(
    message="login {user} from {ip}", field_pools={"user": ("ann", "bob", "cyd"), "ip": ("10.1.0.1", "10.1.0.2")}
)
CACHE = Template(
    message="cache {op} {key}", field_pools={"op": ("hit", "miss", "evict"), "key": ("k1", "k2", "k3", "k4")}
)
GOLDEN = LogTemplate(templates=(LOGIN, CACHE), severity_weights={"info": 6.0, "warn": 3.0, "error": 1.0}, seed=11)


def generator(spec: LogTemplate | ReplayRows) -> Generator:
    return build(entry_plan(signal_type="logs", generator=spec))


def keyed_hash(seed: int, tick: int, name: str) -> int:
    value = mix(seed ^ tick)
    for byte in name.encode():
        value = mix(value ^ byte)
    return value


def test_events_equal_the_recorded_ones() -> None:
    """Severities and pool values of eight recorded events."""
    rows = generator(GOLDEN).values(0, 8).tolist()
    severities = [SEVERITIES[row[0]] for row in rows]
    assert severities == ["info", "error", "info", "info", "warn", "info", "error", "info"]
    chosen = []
    for tick, row in enumerate(rows):
        template = GOLDEN.templates[tick % 2]
        chosen.append(
            [template.field_pools[name][pick] for name, pick in zip(sorted(template.field_pools), row[1:], strict=True)]
        )
    assert chosen == [
        ["10.1.0.2", "bob"],
        ["k4", "evict"],
        ["10.1.0.1", "bob"],
        ["k1", "hit"],
        ["10.1.0.1", "cyd"],
        ["k2", "hit"],
        ["10.1.0.2", "bob"],
        ["k2", "hit"],
    ]


weights = st.dictionaries(
    st.sampled_from([*SEVERITIES, "warning", "WARN", "Info"]),
    st.sampled_from([0.0, 1.0, 0.25, -0.5, 3.0, float("nan"), float("inf")]),
    max_size=5,
)
names = st.sampled_from(["a", "severity", "é", "user", "user_id", ""])
templates = st.lists(
    st.builds(
        Template,
        message=st.just(""),
        field_pools=st.dictionaries(names, st.lists(st.just("v"), max_size=5).map(tuple), max_size=3),
    ),
    max_size=4,
).map(tuple)


def reference_severity(spec: LogTemplate, tick: int) -> str:
    if not spec.severity_weights or not spec.templates:
        return "info"
    pairs = [
        ("warn" if key.lower() == "warning" else key.lower(), weight) for key, weight in spec.severity_weights.items()
    ]
    pairs.sort(key=lambda pair: SEVERITIES.index(pair[0]))
    total = 0.0
    for _, weight in pairs:
        total += weight
    target = (float(keyed_hash(spec.seed, tick, "severity")) / 2.0**64) * total
    running = 0.0
    for severity, weight in pairs:
        running += weight
        if target < running:
            return severity
    return pairs[-1][0]


@given(
    spec=st.builds(
        LogTemplate, templates=templates, severity_weights=st.none() | weights, seed=st.integers(0, LAST_TICK)
    ),
    first_tick=st.integers(0, LAST_TICK - 20),
)
def test_choices_equal_the_scalar_formulas(spec: LogTemplate, first_tick: int) -> None:
    """Severity and every pool's pick follow from seed, tick and name, up to the last tick number."""
    for place, row in enumerate(generator(spec).values(first_tick, 12).tolist()):
        tick = first_tick + place
        assert SEVERITIES[row[0]] == reference_severity(spec, tick)
        if spec.templates:
            pools = sorted(spec.templates[tick % len(spec.templates)].field_pools.items())
            expected = [keyed_hash(spec.seed, tick, name) % len(pool) if pool else 0 for name, pool in pools]
            assert row[1 : 1 + len(pools)] == expected


def rows(count: int, *, repeat: bool) -> ReplayRows:
    return ReplayRows(severities=bytes(count), messages=tuple(map(str, range(count))), fields={}, repeat=repeat)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (rows(3, repeat=True), {0: 0, 2: 2, 3: 0, 2**32: 1, LAST_TICK: 0}),
        (rows(3, repeat=False), {0: 0, 2: 2, 3: 2, 2**32: 2, LAST_TICK: 2}),
    ],
)
def test_replay_wraps_or_holds_the_last_row(spec: ReplayRows, expected: dict[int, int]) -> None:
    """Row t modulo the rows, or the last one for ever."""
    assert {tick: generator(spec).values(tick, 1).item() for tick in expected} == expected


@pytest.mark.parametrize(
    "spec", [GOLDEN, LogTemplate(templates=()), rows(7, repeat=True), rows(700, repeat=False), rows(5000, repeat=True)]
)
@given(first_tick=st.integers(0, 5000), cuts=st.lists(st.integers(1, BATCH_EVENTS), min_size=1, max_size=5))
def test_choices_do_not_depend_on_the_cut_into_batches(spec: Any, first_tick: int, cuts: list[int]) -> None:
    """Any cut of a run of ticks gives the same choices as asking for one tick at a time."""
    cut, fresh = generator(spec), generator(spec)
    tick = first_tick
    for count in cuts:
        part = cut.values(tick, count)
        assert len(part) == count
        for place in range(0, count, max(count // 8, 1)):
            np.testing.assert_array_equal(part[place : place + 1], fresh.values(tick + place, 1))
        tick += count
