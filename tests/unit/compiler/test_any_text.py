"""No text may do anything to the compiler but be compiled or refused."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import CompileError
from supervisor.compiler import Body
from tests.support.compiling import entry, plan_of

YAML_LIKE = st.text(
    alphabet=st.sampled_from("abe012:-,.#&*!|>'\"%@`[]{}?<=~$ \n\t\u00e9\u2028\ufeff\x00\x85"), max_size=200
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=10),
    st.sampled_from(["1s", "0s", "metrics", "up", "-1", "1e400", "${X:-1}", "localhost:1", "", "\0", "1e12h", "+1d"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
COMPLETE: dict[str, Any] = entry(
    duration="10s",
    start_time="-1h",
    labels={"a": "b"},
    dynamic_labels=[{"key": "k", "prefix": "p", "cardinality": 3}, {"key": "v", "values": ["x", "y"]}],
    encoder={"type": "json_lines", "precision": 3},
    sink={
        "type": "tcp",
        "address": "h:1",
        "retry": {"max_attempts": 2, "initial_backoff": "1s", "max_backoff": "2s"},
    },
    jitter=0.5,
    jitter_seed=1,
    gaps={"every": "10s", "for": "1s"},
    gap_windows=[{"at": "1s", "for": "1s"}],
    bursts={"every": "10s", "for": "1s", "multiplier": 2},
    cardinality_spikes=[
        {"label": "s", "every": "9s", "for": "1s", "cardinality": 2, "strategy": "random", "prefix": "q", "seed": 1}
    ],
    phase_offset="1s",
    clock_group="g",
    on_sink_error="fail",
    metric_type="gauge",
    help="h",
)


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every value inside `value`."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for key, child in children for deeper in paths_of(child, (*path, key)))]


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """Return a copy of `value` with what stands at `path` replaced."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def compile_or_refuse(payload: str | bytes, form: Body) -> None:
    detail, status = "accepted", 422
    try:
        plan_of(payload, form, {"X": "1"})
    except CompileError as exc:
        detail, status = exc.detail, exc.status
    assert status in (400, 422)
    assert 0 < len(detail.encode()) < 20_000


@given(st.binary(max_size=100), st.sampled_from(Body))
def test_any_bytes(payload: bytes, form: Body) -> None:
    """Bytes are compiled or refused, in both forms."""
    compile_or_refuse(payload, form)


@given(YAML_LIKE)
def test_any_yaml(text: str) -> None:
    """Texts full of YAML's special characters are compiled or refused, alone and as a value of an entry."""
    compile_or_refuse(text, Body.YAML)
    compile_or_refuse(f"version: 2\nname: {text}", Body.YAML)


@given(VALUES)
def test_any_json(value: Any) -> None:
    """Any JSON value is compiled or refused, alone and as an entry."""
    compile_or_refuse(json.dumps(value), Body.JSON)
    compile_or_refuse(json.dumps({"version": 2, "scenarios": [value]}), Body.JSON)


@settings(max_examples=300)
@given(st.data())
def test_mutated_entries(data: st.DataObject) -> None:
    """A complete entry with up to three values replaced by anything is compiled or refused, in both forms alike."""
    document: Any = {"version": 2, "scenario_name": "s", "defaults": {"rate": 1}, "scenarios": [COMPLETE]}
    for _ in range(data.draw(st.integers(1, 3))):
        document = replaced(document, data.draw(st.sampled_from(paths_of(document))), data.draw(VALUES))
    text = json.dumps(document)
    compile_or_refuse(text, Body.JSON)
    compile_or_refuse(text, Body.YAML)


def test_the_complete_entry_compiles() -> None:
    """What the mutations start from is valid."""
    assert plan_of(json.dumps({"version": 2, "scenarios": [COMPLETE]}), Body.JSON)
