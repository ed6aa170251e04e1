"""Random scenario bodies, as users write them, of which everything runs that can be shared by segments."""

from typing import Any

from hypothesis import strategies as st

Body = dict[str, Any]

_numbers = st.sampled_from([0.0, 1.0, -3.0, 0.1, 1e-7, 1e15, 1 / 3, 123456789.125]) | st.floats(-1e6, 1e6)
_seeds = st.integers(0, 2**64 - 1)

generators = st.one_of(
    st.fixed_dictionaries({"type": st.just("constant"), "value": _numbers}),
    st.fixed_dictionaries(
        {
            "type": st.just("sine"),
            "amplitude": _numbers,
            "period_secs": st.sampled_from([0.3, 1, 7]),
            "offset": _numbers,
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("sawtooth"), "min": _numbers, "max": _numbers, "period_secs": st.sampled_from([0.25, 1])}
    ),
    st.fixed_dictionaries({"type": st.just("uniform"), "min": _numbers, "max": _numbers, "seed": _seeds}),
    st.fixed_dictionaries(
        {"type": st.just("sequence"), "values": st.lists(_numbers, min_size=1, max_size=9), "repeat": st.booleans()}
    ),
    st.fixed_dictionaries({"type": st.just("step"), "step_size": _numbers, "start": _numbers}),
    st.fixed_dictionaries(
        {
            "type": st.just("spike"),
            "baseline": _numbers,
            "magnitude": _numbers,
            "duration_secs": st.just(0.1),
            "interval_secs": st.just(0.5),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("flap"), "up_duration": st.just("200ms"), "down_duration": st.just("100ms")}
    ),
)

_words = st.sampled_from(["p", "q", "long value", "z", 'quo"te', "unicode-é"])
_dynamic_label = st.one_of(
    st.fixed_dictionaries({"prefix": st.sampled_from(["h-", ""]), "cardinality": st.sampled_from([1, 2, 5, 7, 5003])}),
    st.fixed_dictionaries({"values": st.lists(_words, min_size=1, max_size=6)}),
)
_keys = st.sampled_from(["host", "pod", "shard"])
dynamic_labels = st.dictionaries(_keys, _dynamic_label, max_size=2).map(
    lambda labels: [{"key": key, **label} for key, label in labels.items()]
)
_windows = st.sampled_from([("300ms", "100ms"), ("70ms", "20ms"), ("1s", "250ms")])
spikes = st.lists(
    st.builds(
        lambda key, window, cardinality, strategy: {
            "label": key,
            "every": window[0],
            "for": window[1],
            "cardinality": cardinality,
            "strategy": strategy,
        },
        _keys | st.just("spiky"),
        _windows,
        st.sampled_from([1, 3, 50]),
        st.sampled_from(["counter", "random"]),
    ),
    max_size=2,
)

_distributions = st.sampled_from(
    [{"type": "normal", "mean": 0.2, "stddev": 0.05}, {"type": "exponential", "rate": 3.0}]
)
_template = st.fixed_dictionaries(
    {
        "message": st.sampled_from(["from {ip} to {endpoint}", "plain", "{ip} {ip} {missing}"]),
        "field_pools": st.just({"ip": ["10.0.0.1", "::1"], "endpoint": ["/api", "/health é"]}),
    }
)
_log_generators = st.fixed_dictionaries(
    {"type": st.just("template"), "templates": st.lists(_template, min_size=1, max_size=3), "seed": _seeds},
    optional={"severity_weights": st.just({"info": 0.7, "warn": 0.2, "error": 0.1})},
)
_ENCODERS = {
    "metrics": ["prometheus_text", "json_lines", "influx_lp"],
    "histogram": ["prometheus_text", "json_lines"],
    "summary": ["prometheus_text", "json_lines"],
    "logs": ["json_lines", "syslog"],
}


@st.composite
def entries(draw: st.DrawFn, number: int) -> Body:
    """One entry of 8 to 1000 events; its start is in the past, so that stamps do not depend on when it runs."""
    signal_type = draw(st.sampled_from(["metrics", "metrics", "metrics", "logs", "histogram", "summary"]))
    entry: Body = {
        "id": f"e{number}",
        "signal_type": signal_type,
        "name": draw(st.sampled_from(["up", "cpu", "node:load1"])),
        "rate": draw(st.sampled_from([20, 50, 111, 1000.5])),
        "duration": draw(st.sampled_from(["400ms", "1s"])),
        "start_time": "2026-01-01T00:00:00Z",
        "labels": draw(st.dictionaries(st.sampled_from(["job", "host", "_x"]), _words, max_size=2))
        | {"e": str(number)},
        "encoder": {"type": draw(st.sampled_from(_ENCODERS[signal_type]))},
        "sink": {"type": "memory"},
    }
    if signal_type == "metrics":
        entry["generator"] = draw(generators)
        if draw(st.booleans()):
            entry |= {"jitter": 12.25, "jitter_seed": draw(st.integers(0, 2**32))}
    elif signal_type == "logs":
        entry["log_generator"] = draw(_log_generators)
    else:
        entry |= {"distribution": draw(_distributions), "observations_per_tick": draw(st.sampled_from([1, 10]))}
        entry["seed"] = draw(st.integers(0, 99))
    entry["dynamic_labels"] = draw(dynamic_labels)
    entry["cardinality_spikes"] = draw(spikes)
    for field in ("gaps", "bursts"):
        if draw(st.integers(0, 3)) == 0:
            every, length = draw(_windows)
            entry[field] = {"every": every, "for": length} | ({"multiplier": 3.5} if field == "bursts" else {})
    if draw(st.integers(0, 3)) == 0:
        entry["phase_offset"] = "130ms"
    if "distribution" not in entry and draw(st.integers(0, 2)) == 0:
        entry["split"] = "ticks"
    return entry


_delays = st.fixed_dictionaries(
    {},
    optional={
        "open": st.sampled_from(["30ms", "150ms"]),
        "close": st.sampled_from(["40ms", {"duration": "20ms", "snap_to": -1.0}, {"snap_to": 0.0}]),
    },
)


@st.composite
def bodies(draw: st.DrawFn, most: int = 4, *, gated: bool = False) -> Body:
    """A body of some entries, some of which watch one before them if they are `gated`."""
    count = draw(st.integers(2 if gated else 1, most))
    scenarios = [draw(entries(number)) for number in range(count)]
    for number, entry in enumerate(scenarios):
        watchable = [other["id"] for other in scenarios[:number] if other["signal_type"] == "metrics"]
        if gated and watchable and draw(st.integers(0, 4)):
            entry["while"] = {
                "ref": draw(st.sampled_from(watchable)),
                "op": draw(st.sampled_from("<>")),
                "value": draw(st.sampled_from([0.0, 0.5, 1.0])),
            }
            entry["delay"] = delay = draw(_delays)
            if isinstance(delay.get("close"), dict):
                entry.pop("split", None)
    return {"version": 2, "scenarios": scenarios}
