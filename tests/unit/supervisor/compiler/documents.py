"""Documents that use the whole language, and ways to change them at random."""

from typing import Any

from hypothesis import strategies as st

from tests.support.compiling import entry

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


EVERYTHING: dict[str, Any] = {
    "version": 2,
    "kind": "runnable",
    "tags": ["a"],
    "scenario_name": "s",
    "category": "c",
    "description": "d",
    "defaults": {
        "rate": 1,
        "duration": "1m",
        "start_time": "now",
        "labels": {"a": 1},
        "on_sink_error": "warn",
        "while": {"ref": "a", "op": "<", "value": 1, "scenario_name": "t", "if_unresolved": "open"},
        "delay": {"open": 0, "close": {"duration": "1s", "snap_to": 1, "stale_marker": True}},
    },
    "expect": {"alerts": [{"alert": "a", "labels": {"b": 1}, "firing_within": "1s", "resolves_within": 5}]},
    "scenarios": [
        COMPLETE | {"after": {"ref": "x", "op": ">", "value": 1, "delay": "1s"}, "delay": {"close": "1s"}},
        entry(
            id="second",
            generator={
                "type": "csv_replay",
                "file": "f",
                "columns": [{"index": 1, "name": "a", "labels": {"b": "c"}}],
                "timescale": 2,
            },
            sink={
                "type": "kafka",
                "brokers": "a",
                "topic": "b",
                "tls": {"enabled": True},
                "sasl": {"mechanism": "PLAIN", "username": "u", "password": "p"},
            },
        ),
        {
            "signal_type": "logs",
            "name": 5,
            "log_generator": {
                "type": "template",
                "templates": [{"message": "m", "field_pools": {"a": ["b"]}}],
                "severity_weights": {"info": 1},
            },
            "sink": {"type": "http_push", "url": "http://h", "headers": {"a": "b"}},
        },
        {
            "signal_type": "summary",
            "name": "h",
            "distribution": {"type": "uniform", "min": 0, "max": 1},
            "quantiles": [0.5],
            "observations_per_tick": 3,
        },
        {
            "signal_type": "metrics",
            "pack": "p",
            "overrides": {"m": {"generator": {"type": "steady"}, "labels": {"a": True}, "delay": {"open": "0"}}},
        },
    ],
}


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
