"""`after`: crossing times, their refusals, offsets, circles and clock groups."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common.errors import DecodeError
from common.plan import ValueOrigin
from common.specs import Flap, Sawtooth, Sequence, Spike, Step
from supervisor.compiler.language.blocks import After
from supervisor.compiler.timing.crossing import crossing_secs
from tests.support.compiling import FAILED, body, entry, plan_of, refusal_of
from worker.generators import BUILDERS

AMBIGUOUS = "condition is true at t=0, timing is ambiguous: "
SAW = {"type": "sawtooth", "min": 0, "max": 40, "period_secs": 50}
RISING = {"type": "saturation", "baseline": 10, "ceiling": 90, "time_to_saturate": "80s"}
SPIKE = {"type": "spike", "baseline": 1, "magnitude": 9, "duration_secs": 3, "interval_secs": 10}
FLAP = {"type": "flap", "up_duration": "2400ms", "down_duration": "5s"}
STEP = {"type": "step", "start": 0, "step_size": 2}
SEQUENCE = {"type": "sequence", "values": [1, 1, 5, 0]}


def waiting(ref: str = "up", op: str = ">", value: float = 10, **fields: Any) -> dict[str, Any]:
    """Return an entry that starts after another."""
    clause = {"ref": ref, "op": op, "value": value} | fields.pop("clause", {})
    return entry(id="b", name="b", duration="1m", after=clause, **fields)


def offset_of(generator: dict[str, Any], op: str, value: float, rate: float = 10) -> str:
    """Return the offset of an entry that starts when `generator` crosses."""
    plan = plan_of(body(entry(generator=generator, rate=rate), waiting(op=op, value=value)))
    return str(plan.entries[1].config["phase_offset"])


@pytest.mark.parametrize(
    ("generator", "op", "value", "offset"),
    [
        (SAW, ">", 10, "12.5s"),
        (SAW, ">", 0, "0s"),
        (SAW | {"min": 40, "max": 0}, ">", 10, "37.5s"),
        (RISING, ">", 50, "40s"),
        (RISING | {"type": "leak", "time_to_saturate": None, "time_to_ceiling": "120s"}, ">", 50, "1m"),
        (RISING | {"type": "degradation", "time_to_saturate": None, "time_to_degrade": "2h"}, ">", 50, "1h"),
        (SPIKE, "<", 5, "3s"),
        ({"type": "spike_event", "spike_duration": "1.5s"}, "<", 5, "1.5s"),
        (FLAP, "<", 1, "2.4s"),
        (FLAP | {"enum": "neighbor_state"}, "<", 6, "2.4s"),
        (STEP, ">", 3, "0.2s"),
        (STEP, ">", 4, "0.3s"),
        (STEP, ">", 0, "0.1s"),
        (STEP | {"max": 100}, ">", 3, "0.2s"),
        (STEP | {"max": -5}, ">", 3, "0.2s"),
        (SEQUENCE, ">", 2, "0.2s"),
        (SEQUENCE, "<", 1, "0.3s"),
    ],
)
def test_crossing_times(generator: dict[str, Any], op: str, value: float, offset: str) -> None:
    """An entry starts when its target first crosses the threshold, at the target's rate."""
    written = {key: field for key, field in generator.items() if field is not None}
    assert offset_of(written, op, value) == offset


@pytest.mark.parametrize(
    ("generator", "op", "value", "reason"),
    [
        (
            SAW | {"max": 0},
            ">",
            1,
            "baseline (0) equals ceiling (0); the signal is constant and cannot cross any threshold",
        ),
        (SAW, ">", 40, "threshold 40 is at or above ceiling 40; the signal never exceeds it"),
        (SAW, ">", -1, f"{AMBIGUOUS}threshold -1 is below baseline 0; the signal starts above it (satisfied at t=0)"),
        (SAW, "<", 0, "threshold 0 is at or below baseline 0; the signal never drops below it"),
        (
            SAW,
            "<",
            41,
            f"{AMBIGUOUS}threshold 41 is above ceiling 40; the signal is always below it (satisfied at t=0)",
        ),
        (
            SAW,
            "<",
            10.5,
            f"{AMBIGUOUS}signal starts at baseline 0 which is already below threshold 10.5 (satisfied at t=0)",
        ),
        (
            SAW | {"min": 40, "max": 0},
            "<",
            10,
            "the sawtooth ramps from 40 toward 0; it does not cross below 10 during the ramp",
        ),
        (SAW | {"period_secs": -5}, ">", 10, "the computed crossing time of -1.25 seconds is unusable"),
        (SPIKE, ">", 10, "threshold 10 is at or above peak value 10; the signal never exceeds it"),
        (
            SPIKE,
            ">",
            0,
            f"{AMBIGUOUS}threshold 0 is below baseline 1; the signal is always above it (satisfied at t=0)",
        ),
        (
            SPIKE,
            ">",
            5,
            (
                f'{AMBIGUOUS}"> 5" is satisfied at t=0 (spike starts immediately at peak 10). Use "<" to detect '
                "when the spike ends"
            ),
        ),
        (SPIKE | {"magnitude": -9}, ">", -2, "peak -8 does not exceed threshold -2"),
        (SPIKE, "<", 1, "threshold 1 is at or below baseline 1; the signal never drops below it"),
        (SPIKE, "<", 11, f"{AMBIGUOUS}threshold 11 is above peak 10; the signal is always below it (satisfied at t=0)"),
        (
            SPIKE | {"magnitude": -9},
            "<",
            1,
            "baseline 1 is not below threshold 1; the signal does not cross below it when the spike ends",
        ),
        (FLAP, "<", 0, "threshold 0 is at or below the down_value 0; the flap signal never goes below it"),
        (
            FLAP,
            "<",
            2,
            f"{AMBIGUOUS}threshold 2 is above up_value 1; the flap signal is always below it (satisfied at t=0)",
        ),
        (
            FLAP | {"enum": "oper_state"},
            "<",
            2,
            "down_value 2 is not less than threshold 2; the flap signal never drops below 2",
        ),
        (FLAP, ">", 1, "threshold 1 is at or above up_value 1; the flap signal never exceeds it"),
        (
            FLAP,
            ">",
            -1,
            f"{AMBIGUOUS}threshold -1 is below down_value 0; the flap signal is always above it (satisfied at t=0)",
        ),
        (
            FLAP,
            ">",
            0.5,
            (
                f'{AMBIGUOUS}"flap_signal > 0.5" is satisfied at t=0 (starts at up_value 1). Use "<" to detect the '
                "down event"
            ),
        ),
        (
            FLAP | {"enum": "oper_state"},
            ">",
            1,
            "up_value 1 equals threshold 1; the signal never strictly exceeds it",
        ),
        (STEP | {"step_size": 0}, ">", 1, "step_size is 0; the signal never advances"),
        (
            STEP | {"step_size": -0.5},
            ">",
            1,
            "step_size -0.5 is negative; the signal moves away from `> threshold`",
        ),
        (
            STEP | {"start": 5},
            ">",
            1,
            f"{AMBIGUOUS}step generator starts at 5 which already exceeds threshold 1 (satisfied at t=0)",
        ),
        (STEP | {"max": 5}, ">", 5, "step wraps at 5 which is at or below threshold 5; the signal never exceeds it"),
        (STEP | {"max": 6}, ">", 5, "step wraps at 6 before reaching threshold 5"),
        (SEQUENCE | {"values": []}, ">", 5, "sequence has no values; no crossing is possible"),
        (SEQUENCE, ">", 5, 'no value in the sequence satisfies "> 5"; the signal never crosses'),
        (
            SEQUENCE,
            ">",
            0.5,
            f'{AMBIGUOUS}sequence starts at 1 which already satisfies "> 0.5" (satisfied at t=0)',
        ),
        (
            {"type": "constant", "value": 1},
            ">",
            0,
            f'{AMBIGUOUS}constant generator emits 1; "> 0" is satisfied at t=0',
        ),
        ({"type": "constant", "value": 1}, "<", 0, 'constant generator emits 1; it never crosses "< 0"'),
    ],
)
def test_thresholds_without_a_crossing(generator: dict[str, Any], op: str, value: float, reason: str) -> None:
    """A threshold that is never crossed, or was from the start, is refused with the reason."""
    written = {key: field for key, field in generator.items() if not (key == "up_duration" and "enum" in generator)}
    shown = f"{value:g}"
    assert refusal_of(body(entry(generator=written), waiting(op=op, value=value))) == (
        400,
        f"{FAILED}compile_after error: entry 'b': after.ref 'up' op '{op}' value {shown} -- {reason}",
    )


@pytest.mark.parametrize("rate", [0, -1])
def test_a_target_needs_a_rate(rate: float) -> None:
    """A target counted in ticks needs a positive rate, which is found while compiling."""
    for kind, generator in (("step", STEP), ("sequence", SEQUENCE)):
        assert refusal_of(body(entry(generator=generator, rate=rate), waiting(value=2))) == (
            400,
            (
                f"{FAILED}compile_after error: entry 'b': after.ref 'up' op '>' value 2 -- {kind} rate {rate} must be "
                "positive and finite"
            ),
        )


@pytest.mark.parametrize(
    ("generator", "op", "reason"),
    [
        (
            {"type": "sine", "amplitude": 1, "period_secs": 1, "offset": 0},
            ">",
            (
                "sine generator is not supported as an `after` target: sine waves cross any threshold twice per "
                "period, making the crossing direction ambiguous"
            ),
        ),
        (
            {"type": "uniform", "min": 0, "max": 1},
            "<",
            (
                "uniform generator is not supported as an `after` target: the output is non-deterministic, so no "
                "crossing time can be computed"
            ),
        ),
        (
            {"type": "csv_replay", "file": "x"},
            ">",
            (
                "csv_replay generator is not supported as an `after` target: the output depends on external data, so "
                "no crossing time can be computed"
            ),
        ),
        (
            {"type": "steady"},
            ">",
            (
                'cannot compute crossing for "steady" behavior -- sine waves cross any threshold twice per period, '
                "making the result ambiguous. Use explicit phase_offset instead"
            ),
        ),
        (
            STEP,
            "<",
            "step generator does not support `< threshold`; the value is monotonically non-decreasing",
        ),
    ],
)
def test_generators_without_a_formula(generator: dict[str, Any], op: str, reason: str) -> None:
    """A generator whose crossing cannot be computed is refused as a target."""
    assert refusal_of(body(entry(generator=generator), waiting(op=op))) == (
        400,
        (
            f"{FAILED}compile_after error: entry 'b': after.ref 'up' uses generator '{generator['type']}' which does "
            f"not support {op} threshold crossings: {reason}"
        ),
    )


@pytest.mark.parametrize(
    ("target", "fields", "field"),
    [
        ({}, {"clause": {"delay": "x"}}, "after.delay"),
        ({}, {"clause": {"delay": "0s"}}, "after.delay"),
        ({"generator": FLAP | {"up_duration": "x"}}, {"op": "<", "value": 1}, "flap.up_duration"),
        ({"generator": FLAP | {"down_duration": "x"}}, {"op": "<", "value": 1}, "flap.down_duration"),
        ({"generator": RISING | {"time_to_saturate": "x"}}, {}, "saturation.time_to_saturate"),
        ({"generator": {"type": "leak", "time_to_ceiling": "x"}}, {}, "leak.time_to_ceiling"),
        ({"generator": {"type": "degradation", "time_to_degrade": "x"}}, {}, "degradation.time_to_degrade"),
        ({"generator": {"type": "spike_event", "spike_duration": "x"}}, {}, "spike_event.spike_duration"),
    ],
)
def test_bad_durations_of_a_crossing(target: dict[str, Any], fields: dict[str, Any], field: str) -> None:
    """A duration that the crossing needs is a compile error where it would be a 422 otherwise."""
    status, detail = refusal_of(body(entry(**{"generator": SAW} | target), waiting(**fields)))
    assert status == 400
    assert detail.startswith(f"{FAILED}compile_after error: entry 'b': invalid duration '")
    assert f"' in {field}: configuration error: " in detail


def test_offsets_add_up_along_a_chain() -> None:
    """Own offset, the target's whole offset, the crossing and the delay are added and rounded once, at the end."""
    target = entry(generator=SAW, phase_offset="3s")
    waits = waiting(phase_offset="1s", clause={"delay": "500ms"})
    assert plan_of(body(target, waits)).entries[1].config["phase_offset"] == "17s"
    third = entry(id="c", duration="1m", after={"ref": "b", "op": ">", "value": 0.5}, generator=SAW)
    chain = [third, waits | {"generator": SAW}, target]
    plan = plan_of(body(*chain))
    assert [one.config["phase_offset"] for one in plan.entries] == ["17.625s", "17s", "3s"]
    assert plan.entries[0].plan.phase_offset_ns == 17_625_000_000


def test_offsets_have_a_bound() -> None:
    """An offset beyond what 64 bits of nanoseconds hold is refused."""
    status, detail = refusal_of(body(entry(generator=SAW | {"period_secs": 1e12}), waiting()))
    assert status == 400
    assert "exceeds 146 years" in detail


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [entry(), waiting("nope")],
            "entry 'b': after.ref 'nope' does not match any signal id in this file. Available ids: [b, up]",
        ),
        (
            [entry(), waiting("up") | {"id": None}],
            (
                "entry '<anonymous:b>': after.ref 'up' op '>' value 10 -- constant generator emits 1; it never crosses "
                '"> 10"'
            ),
        ),
        (
            [entry(id=None), waiting("up")],
            "entry 'b': after.ref 'up' does not match any signal id in this file. Available ids: [b]",
        ),
        ([waiting("b")], "entry 'b': after.ref references itself"),
        (
            [waiting("c"), entry(id="c", duration="1m", after={"ref": "b", "op": ">", "value": 1})],
            "circular dependency detected: b -> c -> b",
        ),
        (
            [
                entry(id="x", duration="1m", after={"ref": "b", "op": ">", "value": 1}),
                waiting("c"),
                entry(id="c", duration="1m", while_={"ref": "b", "op": ">", "value": 1}),
            ],
            "circular dependency detected: b --[after]--> c --[while]--> b",
        ),
        (
            [entry(duration="1m", while_={"ref": "up", "op": "<", "value": 1})],
            "entry 'up': while.ref references itself",
        ),
        (
            [entry(), entry(id="c", duration="1m", while_={"ref": "x", "op": "<", "value": 1})],
            "entry 'c': while.ref 'x' does not match any signal id in this file. Available ids: [c, up]",
        ),
        (
            [
                entry(signal_type="histogram", generator=None, distribution={"type": "exponential", "rate": 1}),
                waiting("up"),
            ],
            "entry 'b': after.ref 'up' resolves to a histogram signal; only metrics signals can be `after` targets",
        ),
        (
            [
                entry(signal_type="logs", generator=None, log_generator={"type": "template", "templates": []}),
                entry(id="c", duration="1m", while_={"ref": "up", "op": "<", "value": 1}),
            ],
            "entry 'c': while.ref 'up' resolves to a logs signal; only metrics signals can be `while` targets",
        ),
        (
            [
                entry(generator={"type": "csv_replay", "file": "x"}),
                entry(id="c", duration="1m", while_={"ref": "up", "op": "<", "value": 1}),
            ],
            (
                "entry 'c': `while:` cannot reference 'up' — generator 'csv_replay' is data-dependent; only analytical "
                "generators are supported as `while:` upstreams"
            ),
        ),
        (
            [entry(generator=SAW, clock_group="g2"), waiting(clock_group="g1")],
            (
                "conflicting clock_group in dependency chain: entry 'b' has clock_group 'g1', entry 'up' has "
                "clock_group 'g2'"
            ),
        ),
    ],
)
def test_references_that_cannot_be(entries: list[dict[str, Any]], message: str) -> None:
    """A reference needs a target of its kind in the file, and nobody may wait for himself."""
    assert refusal_of(body(*entries)) == (400, f"{FAILED}compile_after error: {message}")


@pytest.mark.parametrize(
    ("generator", "place"),
    [
        ("{type: constant, value: .nan}", "constant.value"),
        ("{type: sequence, values: [1, .nan]}", "sequence.values[1]"),
    ],
)
def test_nan_cannot_be_watched(generator: str, place: str) -> None:
    """An upstream that emits a literal NaN would pause the watcher for ever."""
    text = (
        f"version: 2\ndefaults: {{rate: 1, duration: 1s}}\nscenarios:\n"
        f"- {{id: a, name: a, signal_type: metrics, generator: {generator}}}\n"
        "- {id: b, name: b, signal_type: metrics, generator: {type: constant, value: 1}, "
        "while: {ref: a, op: '<', value: 1}}\n"
    )
    assert refusal_of(text) == (
        400,
        (
            f"{FAILED}compile_after error: entry 'b': `while:` cannot reference 'a' — it emits a literal NaN ({place}: "
            "NaN); strict comparisons against NaN never hold and would leave the scenario permanently paused"
        ),
    )


def groups_of(*entries: dict[str, Any]) -> list[tuple[str | None, bool]]:
    return [(one.clock_group, one.clock_group_auto) for one in plan_of(body(*entries)).entries]


def test_connected_entries_share_a_clock_group() -> None:
    """`after` connects entries: they get the one name among them, or one made of the smallest id."""
    third = entry(id="a", clock_group="other")
    assert groups_of(entry(generator=SAW), waiting(), third) == [("chain_b", True), ("chain_b", True), ("other", False)]
    assert groups_of(entry(generator=SAW, clock_group="g"), waiting(clock_group="")) == [("g", False), ("g", False)]
    watching = entry(id="c", duration="1m", while_={"ref": "up", "op": "<", "value": 1})
    assert groups_of(entry(), watching) == [(None, False), (None, False)]


SPECS = st.one_of(
    st.builds(
        Sawtooth,
        min=st.integers(-50, 50).map(float),
        max=st.integers(-50, 50).map(float),
        period_secs=st.integers(1, 60).map(float),
    ),
    st.builds(
        Spike,
        baseline=st.integers(-9, 9).map(float),
        magnitude=st.integers(-9, 9).map(float),
        duration_secs=st.integers(1, 5).map(float),
        interval_secs=st.integers(6, 9).map(float),
    ),
    st.builds(
        Step, start=st.integers(-9, 9).map(float), step_size=st.integers(1, 9).map(float), max=st.none() | st.just(40.0)
    ),
    st.builds(Sequence, values=st.lists(st.integers(-9, 9).map(float), min_size=1, max_size=9).map(tuple)),
)


@given(SPECS, st.sampled_from(["<", ">"]), st.integers(-60, 60), st.sampled_from([1.0, 2.0, 4.0]))
def test_the_computed_time_is_that_of_the_first_tick_that_crosses(
    spec: Sawtooth | Spike | Step | Sequence, op: Any, value: int, rate: float
) -> None:
    """The entry starts with the first generated value beyond the threshold, or in the tick's time before it."""
    try:
        seconds = crossing_secs(spec, rate, After(ref="a", op=op, value=value))
    except DecodeError:
        return
    # A ramp that starts at the very threshold crosses at once, a step that would start there one tick later.
    # A falling ramp is above the threshold from the start; the offset counts until it has fallen to it.
    assume(seconds > 0 and not (isinstance(spec, Sawtooth) and spec.max < spec.min))
    values = BUILDERS[type(spec)](spec, rate, ValueOrigin()).values(0, 1000)
    beyond = np.flatnonzero(values > value if op == ">" else values < value)
    expected = math.floor(seconds * rate) + 1 if isinstance(spec, Sawtooth) else round(seconds * rate)
    # A ramp may reach the threshold exactly on a tick, and wraps before the last value of its period is emitted.
    if not isinstance(spec, Sawtooth) or expected < spec.period_secs * rate:
        assert beyond[:1].tolist() == [expected]


def test_flaps_cross_with_their_written_durations() -> None:
    """A flap crosses when its text says so, not when the next whole tick does."""
    assert crossing_secs(Flap(up_duration="2.4s"), 1.0, After(ref="a", op="<", value=0.5)) == 2.4
