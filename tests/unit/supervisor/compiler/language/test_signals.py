"""Plans and refusals of aliases, logs, histograms, summaries and gates."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.plan import EntryPlan, GatePlan, Histogram, Summary
from common.specs import Exponential, Flap, LogTemplate, Normal, Sawtooth, Sine, Spike, Template
from supervisor.compiler.language.log_events import placeholders
from tests.support.compiling import FAILED, body, entry, plan_of, refusal_of

GOLDEN = Path(__file__).parents[4] / "golden" / "peer-1.29.jsonl"
RUNTIME = "configuration error: scenario[0]: "
EXPONENTIAL = {"type": "exponential", "rate": 2}


def planned(**fields: Any) -> EntryPlan:
    return plan_of(body(entry(**fields))).entries[0].plan


def observed(**fields: Any) -> dict[str, Any]:
    return entry(**{"signal_type": "histogram", "generator": None, "distribution": EXPONENTIAL} | fields)


def logged(*templates: dict[str, Any], **fields: Any) -> dict[str, Any]:
    spec = {"type": "template", "templates": list(templates)} | fields
    return entry(signal_type="logs", generator=None, log_generator=spec)


@pytest.mark.parametrize(
    ("alias", "core"),
    [
        ({"type": "steady"}, Sine(amplitude=10.0, period_secs=60.0, offset=50.0)),
        ({"type": "saturation"}, Sawtooth(min=0.0, max=100.0, period_secs=300.0)),
        ({"type": "saturation", "time_to_saturate": "1.001s"}, Sawtooth(min=0.0, max=100.0, period_secs=1.000999)),
        ({"type": "leak"}, Sawtooth(min=0.0, max=100.0, period_secs=600.0)),
        ({"type": "degradation", "baseline": 1}, Sawtooth(min=1.0, max=100.0, period_secs=300.0)),
        (
            {"type": "spike_event", "spike_height": -5},
            Spike(baseline=0.0, magnitude=-5.0, duration_secs=10.0, interval_secs=30.0),
        ),
        ({"type": "flap", "enum": "link_state"}, Flap(enum="link_state")),
    ],
)
def test_aliases_become_core_generators(alias: dict[str, Any], core: Any) -> None:
    """An alias runs as the generator it stands for, and clients see it as it was posted."""
    one = plan_of(body(entry(generator=alias))).entries[0]
    assert one.plan.generator == core
    assert one.config["generator"]["type"] == alias["type"]


@pytest.mark.parametrize(
    ("alias", "fields", "jitter", "seed"),
    [
        ({}, {}, 1.0, 0),
        ({"noise": 0.5, "noise_seed": 9}, {}, 0.5, 9),
        ({"noise": 0.5, "noise_seed": 9}, {"jitter": 0}, 0.0, 9),
        ({"noise": 0.5, "noise_seed": 9}, {"jitter": 2, "jitter_seed": 0}, 2.0, 0),
        ({"noise": 0.5}, {"jitter_seed": 3}, 0.5, 3),
    ],
)
@pytest.mark.parametrize("kind", ["steady", "degradation"])
def test_noise_is_jitter(kind: str, alias: dict[str, Any], fields: dict[str, Any], jitter: float, seed: int) -> None:
    """An alias's noise is the entry's jitter where it has none, the seed likewise, each half by itself."""
    plan = planned(generator={"type": kind} | alias, **fields)
    assert (plan.jitter, plan.jitter_seed) == (jitter, seed)


@pytest.mark.parametrize(
    ("flap", "rate", "ticks"),
    [
        (Flap(up_duration="5s", down_duration="1s"), 0.5, (3, 1)),
        (Flap(up_duration="1s", down_duration="60s"), 0.05, (1, 3)),
        (Flap(up_duration="100ms", down_duration="200ms"), 1.0, (0, 0)),
        (Flap(), 0.0, (0, 0)),
        (Flap(), -1.0, (0, 0)),
        (Flap(), float("nan"), (0, 0)),
        (Flap(up_duration="24h", down_duration="24h"), 1e6, (86_400_000_000, 86_400_000_000)),
    ],
)
def test_ticks_of_a_flap(flap: Flap, rate: float, ticks: tuple[int, int]) -> None:
    """Halves are rounded up, a single zero is raised to one tick, and nothing is made into a list."""
    assert flap.ticks(rate) == ticks


def test_levels_of_a_flap() -> None:
    """An enumeration names a pair of values; without one they are given one by one."""
    assert Flap(enum="neighbor_state").levels == (6.0, 1.0)
    assert Flap(enum="oper_state").levels == Flap(enum="admin_state").levels == (1.0, 2.0)
    assert Flap(enum="boolean").levels == Flap(enum="link_state").levels == Flap().levels == (1.0, 0.0)
    assert Flap(down_value=-1.0).levels == (1.0, -1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"generator": {"type": "flap", "enum": "boolean", "down_value": 0}},
            "flap: 'enum' is mutually exclusive with explicit 'up_value'/'down_value' — pick one",
        ),
        (
            {"generator": {"type": "flap"}, "rate": 0},
            "flap: up_duration and down_duration must produce at least one tick total",
        ),
        (
            {"generator": {"type": "leak"}, "duration": "11m"},
            (
                "leak: time_to_ceiling (10m) is shorter than scenario duration (11m); the sawtooth would reset "
                "mid-run. Use 'saturation' instead for repeating fill-and-reset cycles, or "
                "increase time_to_ceiling to >= duration"
            ),
        ),
        (
            {"generator": {"type": "steady", "period": "0s"}},
            'duration "0s" must be greater than zero',
        ),
        (
            {"generator": {"type": "spike_event", "spike_interval": "5"}},
            'unrecognized duration unit in "5": expected one of ms, s, m, h',
        ),
    ],
)
def test_aliases_that_cannot_run(fields: dict[str, Any], message: str) -> None:
    """A fault of an alias is found before any bound of any entry."""
    assert refusal_of(body(entry(**fields), entry(id="b", rate=0))) == (422, f"{RUNTIME}desugaring failed: {message}")


def test_a_leak_may_last_exactly_as_long_as_its_entry() -> None:
    """Equal lengths are fine, and without a duration there is nothing to compare."""
    assert planned(generator={"type": "leak"}, duration="600s")
    assert planned(generator={"type": "leak", "time_to_ceiling": "1ms"})


def test_histograms_and_summaries() -> None:
    """An entry that observes has its distribution, bounds and defaults in one block."""
    one = plan_of(body(observed())).entries[0].plan
    assert one.signal_type == "histogram"
    assert one.generator == Histogram(
        distribution=Exponential(rate=2.0),
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
        observations_per_tick=100,
        mean_shift_per_sec=0.0,
        seed=0,
    )
    two = plan_of(
        body(
            observed(
                signal_type="summary",
                distribution={"type": "normal", "mean": 1, "stddev": 2},
                buckets=[],
                quantiles=[0.1],
                observations_per_tick=7,
                mean_shift_per_sec=-1,
                seed=2**64 - 1,
            )
        )
    ).entries[0]
    assert two.plan.generator == Summary(
        distribution=Normal(mean=1.0, stddev=2.0),
        quantiles=(0.1,),
        observations_per_tick=7,
        mean_shift_per_sec=-1.0,
        seed=2**64 - 1,
    )
    assert two.config["distribution"] == {"type": "normal", "mean": 1.0, "stddev": 2.0}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(two.plan), type=EntryPlan) == two.plan


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"buckets": []}, "buckets must not be empty"),
        ({"buckets": [1, 0]}, "buckets[1] must be positive and finite, got 0"),
        ({"buckets": [1, 1]}, "buckets must be strictly sorted: 1 >= 1"),
        ({"buckets": [2.5, 1]}, "buckets must be strictly sorted: 2.5 >= 1"),
        ({"signal_type": "summary", "quantiles": []}, "quantiles must not be empty"),
        ({"signal_type": "summary", "quantiles": [0.5, 1]}, "quantiles[1] must be in (0, 1), got 1"),
        ({"signal_type": "summary", "quantiles": [0.5, 0.5]}, "quantiles must be strictly sorted: 0.5 >= 0.5"),
        ({"distribution": {"type": "exponential", "rate": 0}}, "distribution.rate must be positive, got 0"),
        (
            {"distribution": {"type": "normal", "mean": 0, "stddev": -1}},
            "distribution.stddev must be positive, got -1",
        ),
        (
            {"distribution": {"type": "uniform", "min": 2, "max": 2}},
            "distribution.min (2) must be strictly less than distribution.max (2)",
        ),
        ({"observations_per_tick": 0}, "observations_per_tick must be greater than zero"),
        ({"name": "a-b"}, 'invalid metric name "a-b": must match [a-zA-Z_:][a-zA-Z0-9_:]*'),
    ],
)
def test_observations_that_cannot_run(fields: dict[str, Any], message: str) -> None:
    """Bounds of histograms and summaries are checked before launch."""
    assert refusal_of(body(observed(**fields))) == (422, RUNTIME + message)


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        ("{type: exponential, rate: .nan}", "distribution.rate must be positive, got NaN"),
        ("{type: normal, mean: .nan, stddev: 1}", "distribution.mean must not be NaN"),
        ("{type: normal, mean: 1, stddev: .nan}", "distribution.stddev must be positive, got NaN"),
        ("{type: uniform, min: .nan, max: 1}", "distribution.min and distribution.max must not be NaN"),
    ],
)
def test_nan_distributions_cannot_run(distribution: str, message: str) -> None:
    """NaN is no parameter of a distribution."""
    assert refusal_of(f"version: 2\nname: a\nrate: 1\ndistribution: {distribution}\n") == (422, RUNTIME + message)


def test_log_templates() -> None:
    """A log entry may have any name, and its templates run as they are written."""
    spec = {"message": "hi {who}", "field_pools": {"who": ["a", "b"]}}
    plan = plan_of(body(logged(spec, severity_weights={"WARNING": 1, "info": 2.5}, seed=3) | {"name": "any name"}))
    one = plan.entries[0].plan
    assert (one.name, one.signal_type) == ("any name", "logs")
    assert one.generator == LogTemplate(
        templates=(Template(message="hi {who}", field_pools={"who": ("a", "b")}),),
        severity_weights={"WARNING": 1.0, "info": 2.5},
        seed=3,
    )
    assert plan.entries[0].config["encoder"] == {"type": "json_lines"}
    assert plan_of(body(logged()))


def test_severities_have_names() -> None:
    """A weight for a severity that does not exist is a 422."""
    assert refusal_of(body(logged(severity_weights={"Critical": 1}))) == (
        422,
        f'{RUNTIME}unknown severity "critical": must be one of trace, debug, info, warn, error, fatal',
    )


def test_log_events_are_bounded() -> None:
    """A template may not render events without measure, however short it is itself."""
    bomb = {"message": "{a}" * 100, "field_pools": {"a": ["x" * 1000]}}
    assert refusal_of(body(logged(bomb))) == (
        400,
        f"{FAILED}prepare error: entry 0 (up): a log event may take 101001 bytes, at most 65536 are accepted",
    )


@pytest.mark.parametrize(
    ("message", "pieces", "tail"),
    [
        ("", [], ""),
        ("a {b} c", [("a ", "b")], " c"),
        ("{a}{b}", [("", "a"), ("", "b")], ""),
        ("{open", [], "{open"),
        ('{"k":"{v}"}', [("", '"k":"{v')], '"}'),
        ("}{}", [("}", "")], ""),
    ],
)
def test_placeholders(message: str, pieces: list[tuple[str, str]], tail: str) -> None:
    """A name reaches from an opening brace to the next closing one."""
    assert placeholders(message) == (pieces, tail)


@pytest.mark.parametrize(("signal", "label"), [("histogram", "le"), ("summary", "quantile")])
def test_rotating_labels_may_not_hide_a_signals_own(signal: str, label: str) -> None:
    """A rotating label named like the bucket or quantile label is refused; elsewhere it is fine."""
    dynamic = {"dynamic_labels": [{"key": label, "cardinality": 2}]}
    spike = {"cardinality_spikes": [{"label": label, "every": "2s", "for": "1s", "cardinality": 2}]}
    for rotating in (dynamic, spike):
        assert refusal_of(body(observed(signal_type=signal, **rotating))) == (
            400,
            (
                f"{FAILED}prepare error: entry 0 (up): a rotating label may not be named '{label}', which {signal} "
                "lines carry"
            ),
        )
        assert planned(**rotating)
    assert refusal_of(body(observed(signal_type=signal, labels={label: "x"}))) == (
        400,
        f"{FAILED}prepare error: entry 0 (up): a label may not be named '{label}', which {signal} lines carry",
    )
    assert planned(labels={label: "x"})


def gate_of(fields: dict[str, Any], **top: Any) -> GatePlan | None:
    return plan_of(body(entry(id="other"), entry(duration="1m", **fields), **top)).entries[1].plan.gate


def test_gates() -> None:
    """A gate has its threshold, delays in nanoseconds, and what it emits when it closes."""
    clause = {"ref": "other", "op": "<", "value": 1.5}
    assert gate_of({"while": clause}) == GatePlan(scenario_name=None, ref="other", op="<", value=1.5)
    assert gate_of({"while": clause, "delay": {"open": "250ms", "close": "0"}}) == GatePlan(
        scenario_name=None, ref="other", op="<", value=1.5, open_delay_ns=250_000_000
    )
    close = {"duration": "2s", "snap_to": 0, "stale_marker": True}
    assert gate_of({"while": clause, "delay": {"close": close}}) == GatePlan(
        scenario_name=None,
        ref="other",
        op="<",
        value=1.5,
        close_delay_ns=2_000_000_000,
        snap_to=0.0,
        stale_marker=True,
    )


def test_gates_on_other_bodies() -> None:
    """A reference to another body is left to run time; one to the own body is local."""
    clause = {"ref": "x", "op": ">", "value": 1, "scenario_name": "core", "if_unresolved": "open"}
    assert gate_of({"while": clause}, scenario_name="edge") == GatePlan(
        scenario_name="core", ref="x", op=">", value=1.0, if_unresolved="open"
    )
    local = gate_of({"while": clause | {"ref": "other", "scenario_name": "edge"}}, scenario_name="edge")
    assert local is not None
    assert local.scenario_name is None


def test_gates_are_inherited() -> None:
    """A gate of `defaults` holds for every entry without its own, the watched one included."""
    defaults = {"while": {"ref": "up", "op": "<", "value": 1}, "duration": "1m"}
    assert refusal_of(body(entry(), defaults=defaults)).detail.endswith("entry 'up': while.ref references itself")
    other = {"scenario_name": "core", "ref": "x", "op": "<", "value": 1}
    plan = plan_of(body(entry(), entry(id="b"), defaults=defaults | {"while": other}, scenario_name="edge"))
    assert [one.plan.gate and one.plan.gate.ref for one in plan.entries] == ["x", "x"]


def test_a_replay_of_the_last_entry_is_reported_first() -> None:
    """Files come before aliases and aliases before bounds, over the whole body."""
    bad_rate, bad_alias = entry(rate=0), entry(id="b", generator={"type": "steady", "period": "x"})
    bad_file = entry(id="c", generator={"type": "csv_replay", "file": "/nonexistent/x"})
    assert refusal_of(body(bad_rate, bad_alias, bad_file)).detail.startswith("configuration error: scenario[2]: ")
    assert refusal_of(body(bad_rate, bad_alias)).detail.startswith("configuration error: scenario[1]: ")
    assert refusal_of(body(bad_rate)).detail.startswith("configuration error: scenario[0]: ")


def test_every_entry_of_the_peer_compiles() -> None:
    """Each entry that the peer accepts becomes a plan with its name, labels and signal."""
    lines = GOLDEN.read_text().splitlines()
    for line in lines:
        golden = json.loads(line)["entry"]
        plan = plan_of(body(golden)).entries[0].plan
        assert (plan.name, plan.signal_type) == (golden["name"], golden["signal_type"])
        assert plan.labels == golden.get("labels", {})
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(plan), type=EntryPlan) == plan
    assert len(lines) == 240
