"""The patch of a running entry: what it makes of it, and what is refused with which words and places."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import CompileError
from common.plan import Histogram, PlannedEntry, ReplayColumn
from common.specs import Flap, Normal, Sine
from common.tuning import Change
from supervisor.compiler import BodyFormat, Context
from supervisor.compiler.retuning import read_change
from tests.support.compiling import body, entry, plan_of


def planned(**fields: Any) -> PlannedEntry:
    (one,) = plan_of(body(entry(**fields))).entries
    return one


def changed(one: PlannedEntry, patch: Any, form: BodyFormat = BodyFormat.JSON) -> Change:
    payload = patch.encode() if isinstance(patch, str) else json.dumps(patch).encode()
    return read_change(one, payload, form, Context())


def refused(one: PlannedEntry, patch: Any, form: BodyFormat = BodyFormat.JSON) -> CompileError:
    with pytest.raises(CompileError) as caught:
        changed(one, patch, form)
    return caught.value


WAVE = {"type": "sine", "amplitude": 5, "period_secs": 60, "offset": 1}


def test_a_patch_is_merged_into_what_runs() -> None:
    """Maps key by key, null removes; the config is that of a launch with these values, and only news are changes."""
    one = planned(generator=WAVE, labels={"zone": "a", "old": "1"}, duration="10m")
    patch = {"rate": 20, "labels": {"old": None, "new": "2"}, "generator": {"offset": 3}, "duration": "10m"}
    change = changed(one, patch)
    assert (change.tuning.rate, change.tuning.labels) == (20.0, {"new": "2", "zone": "a"})
    assert change.tuning.generator == Sine(amplitude=5, period_secs=60, offset=3)
    relaunched = planned(rate=20, generator=WAVE | {"offset": 3}, labels={"zone": "a", "new": "2"}, duration="10m")
    assert change.config == relaunched.config
    assert change.tuning.of(one.plan) == msgspec.structs.replace(relaunched.plan, first_rate=10.0)
    assert change.changes.keys() == {"rate", "labels", "generator"}


@pytest.mark.parametrize("patch", [{}, {"rate": 10}, {"labels": {"gone": None}}, {"generator": {"type": "constant"}}])
def test_a_patch_may_change_nothing(patch: Any) -> None:
    one = planned()
    change = changed(one, patch)
    assert change.changes == {}
    assert change.tuning.of(one.plan) == one.plan


def test_aliases_are_changed_in_their_own_words() -> None:
    """And are checked as at a launch, together with what stays."""
    leak = planned(generator={"type": "leak", "time_to_ceiling": "10m"}, duration="5m")
    change = changed(leak, {"generator": {"time_to_ceiling": "20m", "ceiling": 50}})
    assert change.config["generator"] == {"type": "leak", "time_to_ceiling": "20m", "ceiling": 50.0}
    assert "shorter than scenario duration" in str(refused(leak, {"duration": "1h"}))
    steady = planned(generator={"type": "steady", "noise": 2.0})
    assert changed(steady, {"generator": {"noise": 3}}).tuning.jitter == 3.0
    flap = planned(generator={"type": "flap", "up_duration": "2s"})
    assert changed(flap, {"generator": {"up_duration": None}}).tuning.generator == Flap()


def test_what_duration_means_includes_history() -> None:
    """As at a launch, it counts from the start of the live part."""
    one = planned(backfill="1h", duration="10m")
    assert changed(one, {"duration": "20m"}).tuning.duration_ns == 4800 * 10**9
    assert changed(one, {"duration": None}).tuning.duration_ns is None


def test_observations_are_changed_and_their_buckets_are_not() -> None:
    one = planned(
        signal_type="histogram", generator=None, distribution={"type": "exponential", "rate": 2.0}, buckets=[1, 2]
    )
    patch = {"distribution": {"type": "normal", "rate": None, "mean": 1, "stddev": 2}, "mean_shift_per_sec": 0.5}
    generator = changed(one, patch).tuning.generator
    assert isinstance(generator, Histogram)
    assert (generator.distribution, generator.buckets) == (Normal(mean=1, stddev=2), (1.0, 2.0))
    assert refused(one, {"buckets": [1, 2, 3]}).status == 422


def test_a_recording_changes_its_pace_and_stays_what_it_is(tmp_path: Path) -> None:
    """The file is not read again, and may be gone."""
    file = tmp_path / "r.csv"
    file.write_text("time,up\n0,1\n1,2\n2,3\n")
    (one,) = plan_of(body(entry(rate=1, generator={"type": "csv_replay", "file": str(file)}))).entries
    file.unlink()
    change = changed(one, {"rate": 7, "labels": {"a": "b"}})
    assert change.tuning.generator is None
    plan = change.tuning.of(one.plan)
    assert isinstance(plan.generator, ReplayColumn)
    assert (plan.rate, plan.launch_rate, plan.labels) == (7.0, one.plan.rate, {"a": "b"})
    assert "of a replay cannot be changed" in str(refused(one, {"generator": {"repeat": False}}))


def test_special_numbers_of_what_stays_are_read_back() -> None:
    """JSON has no word for them."""
    (odd,) = plan_of(
        "version: 2\nscenarios:\n"
        "  - {signal_type: metrics, name: up, rate: 1, generator: {type: sequence, values: [.inf, -.inf, .nan]}}\n"
    ).entries
    assert changed(odd, {"rate": 2}).tuning.generator is not None


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ({"name": "x"}, "name"),
        ({"sink": {"type": "stdout"}}, "sink"),
        ({"encoder": None}, "encoder"),
        ({"signal_type": "logs"}, "signal_type"),
        ({"isolation": "shared"}, "isolation"),
        ({"while": None}, "while"),
        ({"log_generator": {}}, "log_generator"),
        ({"generator": {"type": "sine"}}, "generator.type"),
        ({"rate": 0}, "rate"),
        ({"duration": "soon"}, "duration"),
        ({"labels": {"__x": "1"}}, "labels.__x"),
        ({"jitter": -1}, "jitter"),
    ],
)
def test_a_fault_names_its_field(patch: Any, path: str) -> None:
    error = refused(planned(), patch)
    assert [fault.path for fault in error.faults] == [path]
    assert error.status in (400, 422)
    if path in ("name", "sink", "encoder", "signal_type", "isolation", "while", "log_generator", "generator.type"):
        assert error.status == 422


def test_faults_have_the_places_of_the_patch() -> None:
    """Not those of a document that nobody has written."""
    error = refused(planned(generator=WAVE), "rate: 3\ngenerator:\n  amplitud: 4\n", BodyFormat.YAML)
    assert [(fault.path, fault.line) for fault in error.faults] == [("generator.amplitud", 3)]
    assert error.status == 400
    for text in ("- 1\n", "7", ""):
        assert refused(planned(), text, BodyFormat.YAML).status == 400


def test_clauses_still_want_an_end() -> None:
    text = (
        "version: 2\ndefaults: {rate: 1, duration: 5m}\nscenarios:\n"
        "  - {id: a, signal_type: metrics, name: a, generator: {type: constant, value: 1}}\n"
        "  - {id: b, signal_type: metrics, name: b, generator: {type: constant, value: 1},\n"
        "     while: {ref: a, op: '>', value: 0}}\n"
    )
    _, gated = plan_of(text).entries
    assert "must have `duration:`" in str(refused(gated, {"duration": None}))
    assert changed(gated, {"duration": "1h"}).tuning.duration_ns == 3600 * 10**9


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["rate", "labels", "generator", "type", "x", "duration"]), inner, max_size=3
            )
        ),
        max_leaves=6,
    )
)
def test_any_patch_is_read_or_refused(patch: Any) -> None:
    """Nothing else comes out of it."""
    one = planned(generator=WAVE)
    faults: tuple[Any, ...] = ()
    try:
        change = changed(one, patch)
    except CompileError as exc:
        faults = exc.faults
    else:
        assert change.tuning.rate > 0
        return
    assert faults
