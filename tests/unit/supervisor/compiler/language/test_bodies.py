"""Shapes, structure, defaults and clauses of bodies: the refusals of the compile phases after typing."""

import pytest

from supervisor.compiler import BodyFormat
from tests.support.compiling import FAILED, body, entry, plan_of, refusal_of

CONSTANT = {"type": "constant", "value": 1}
LOGS = {"type": "template", "templates": []}
NORMAL = {"type": "normal", "mean": 0, "stddev": 1}
GATE = {"ref": "other", "op": "<", "value": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenarios: []", "kind: runnable scenarios block is empty; expected at least one scenario"),
        (
            "name: up",
            "kind: runnable file has no scenarios; add a 'scenarios:' block or use single-signal shorthand",
        ),
        (
            "scenarios: null",
            "kind: runnable file has no scenarios; add a 'scenarios:' block or use single-signal shorthand",
        ),
        (
            "generator: ~",
            "kind: runnable file has no scenarios; add a 'scenarios:' block or use single-signal shorthand",
        ),
        (
            "kind: composable\nscenarios: []",
            "kind: composable cannot have a 'scenarios:' block; composable files are pack definitions",
        ),
        ("kind: Runnable\nscenarios: [{}]", "unknown kind 'Runnable': must be 'runnable' or 'composable'"),
        ("kind: ''\nscenarios: [{}]", "unknown kind '': must be 'runnable' or 'composable'"),
    ],
)
def test_shapes_of_a_document(text: str, message: str) -> None:
    """A document is runnable with scenarios, flat with one, or a pack definition without any."""
    assert refusal_of(f"version: 2\n{text}\n") == (400, f"{FAILED}parse error: {message}")


def test_a_flat_document_is_one_entry() -> None:
    """The flat form gives the plan of the same entry in the canonical form."""
    flat = "version: 2\nkind: runnable\nid: up\nname: up\nrate: 10\ngenerator: {type: constant, value: 1}\nexpect:\n"
    assert plan_of(flat) == plan_of(body(entry()))


@pytest.mark.parametrize(
    ("keys", "signal_type"),
    [
        ("log_generator: {type: template, templates: []}", "logs"),
        ("distribution: {type: normal, mean: 0, stddev: 1}", "histogram"),
        ("distribution: {type: normal, mean: 0, stddev: 1}\nquantiles: [0.5]", "summary"),
        ("signal_type: ~\ndistribution: {type: normal, mean: 0, stddev: 1}\nlog_generator: ~", "histogram"),
    ],
)
def test_a_flat_document_implies_its_signal_type(keys: str, signal_type: str) -> None:
    """Without `signal_type` the block that generates decides."""
    detail = refusal_of(f"version: 2\nname: up\nrate: 1\n{keys}\ngenerator: {{type: constant, value: 1}}\n").detail
    assert detail == f"{FAILED}parse error: entry 0: signal_type '{signal_type}' must not have 'generator' field"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry(id="my-id")], "entry id 'my-id' is invalid: must match [a-zA-Z_][a-zA-Z0-9_]*"),
        ([entry(id="é")], "entry id 'é' is invalid: must match [a-zA-Z_][a-zA-Z0-9_]*"),
        ([entry(id="a\n")], "entry id 'a\n' is invalid: must match [a-zA-Z_][a-zA-Z0-9_]*"),
        ([entry(), entry()], "duplicate entry id: 'up'"),
        (
            [entry(signal_type="trace")],
            "entry 0: invalid signal_type 'trace', must be one of: metrics, logs, histogram, summary",
        ),
        ([entry(pack="p")], "entry 0: must have either 'generator' or 'pack', not both"),
        (
            [entry(generator=None)],
            "entry 0: must have either 'generator' (or 'distribution' for histogram/summary) or 'pack'",
        ),
        (
            [entry(), entry(id="b", generator=None, log_generator=LOGS)],
            "entry 1: must have either 'generator' (or 'distribution' for histogram/summary) or 'pack'",
        ),
        ([entry(log_generator=LOGS)], "entry 0: signal_type 'metrics' must not have 'log_generator' field"),
        ([entry(distribution=NORMAL)], "entry 0: signal_type 'metrics' must not have 'distribution' field"),
        (
            [entry(signal_type="logs", log_generator=LOGS, distribution=NORMAL)],
            "entry 0: signal_type 'logs' must not have 'generator' field",
        ),
        (
            [entry(signal_type="logs", generator=None, pack="p")],
            "entry 0: pack entries must have signal_type 'metrics'",
        ),
        ([entry(name=None)], "entry 0: inline signal must have 'name'"),
        (
            [entry(while_=GATE | {"if_unresolved": "open"})],
            (
                "entry 0: `while.if_unresolved` requires `while.scenario_name` to be set; `if_unresolved` only applies "
                "to cross-POST `while:` references"
            ),
        ),
        (
            [entry(while_=GATE | {"scenario_name": "x", "ref": "a.b"})],
            (
                "entry 0: cross-POST `while.ref` 'a.b' targets a pack sub-signal; cross-POST refs cannot target pack "
                "sub-signals in v1, use the top-level entry id"
            ),
        ),
        (
            [entry(), entry(id="b", while_=GATE | {"scenario_name": "x"})],
            (
                "entry 1: cross-POST `while:` refs require body-level `scenario_name` on the scenario file; add a "
                "top-level `scenario_name:` declaring this body's identity"
            ),
        ),
    ],
)
def test_structure_of_entries(entries: list[dict[str, object]], message: str) -> None:
    """Ids, signal types and their blocks are checked entry by entry; the first fault is the answer."""
    assert refusal_of(body(*entries)) == (400, f"{FAILED}parse error: {message}")


@pytest.mark.parametrize(
    ("fields", "label"),
    [({}, "up"), ({"name": None, "pack": "p", "generator": None}, "up"), ({"id": None, "name": "n"}, "n")],
)
def test_a_missing_rate_is_a_compile_error(fields: dict[str, object], label: str) -> None:
    """An entry needs a rate, its own or inherited."""
    assert refusal_of(body(entry(id="a"), entry(rate=None, **fields))) == (
        400,
        (
            f"{FAILED}normalize error: entry 1 ({label}): missing required field 'rate' (set it on the entry or in "
            "defaults:)"
        ),
    )


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        (
            {"delay": {"open": "1s"}},
            422,
            (
                "entry 'up': `delay:` requires `while:` on the same entry. `delay:` debounces `while:` transitions and "
                "has no meaning without it."
            ),
        ),
        (
            {"while_": GATE},
            422,
            (
                "entry 'up': scenarios with `while:` must have `duration:` set (either on the entry or via "
                "`defaults.duration`).\nBounds the scenario's lifetime so paused state has a terminal point."
            ),
        ),
        (
            {"after": GATE},
            400,
            (
                "entry 'up': scenarios with `after:` must have `duration:` set (either on the entry or via "
                "`defaults.duration`).\nBounds the scenario's lifetime so pending state has a terminal point."
            ),
        ),
        (
            {"duration": "1s", "while_": GATE, "delay": {"close": {"snap_to": 1, "stale_marker": False}}},
            422,
            (
                "entry 'up': delay.close.snap_to already replaces the stale marker; do not also set "
                "delay.close.stale_marker: false"
            ),
        ),
        (
            {"duration": "1s", "while_": GATE, "delay": {"close": {"stale_marker": True}}},
            400,
            (
                "entry 'up': delay.close.stale_marker: true requires sink.type: remote_write — the marker is a "
                "Prometheus remote-write-specific signal and silently no-ops on sink.type: stdout. Either set "
                "sink.type: remote_write, or replace stale_marker with snap_to: <value> for a sink-agnostic recovery "
                "emit, or drop the field to disable the close-emit entirely."
            ),
        ),
    ],
)
def test_clauses_must_be_able_to_work(fields: dict[str, object], status: int, message: str) -> None:
    """Gates and starts that cannot work are refused, some as 422 because clients expect that."""
    assert refusal_of(body(entry(**fields))) == (status, f"{FAILED}normalize error: {message}")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
@pytest.mark.parametrize(
    ("clause", "status", "message"),
    [
        (
            "while: {{ref: a, op: '<', value: {}}}",
            422,
            (
                "entry 'up': while.value must be a finite number; NaN and infinity are rejected because the strict "
                "comparison gate would never resolve deterministically"
            ),
        ),
        ("after: {{ref: a, op: '<', value: {}}}", 400, "entry 'up': after.value must be a finite number"),
        (
            "while: {{ref: a, op: '<', value: 1}}\ndelay: {{close: {{snap_to: {}}}}}",
            422,
            (
                "entry 'up': delay.close.snap_to must be a finite number; NaN and infinity cannot be emitted as a "
                "recovery sample"
            ),
        ),
    ],
)
def test_thresholds_are_finite(clause: str, status: int, message: str, value: str) -> None:
    """A threshold that no value crosses is refused."""
    text = f"version: 2\nid: up\nname: up\nrate: 1\nduration: 1s\n{clause.format(value)}\n"
    assert refusal_of(f"{text}generator: {{type: constant, value: 1}}\n") == (
        status,
        f"{FAILED}normalize error: {message}",
    )


@pytest.mark.parametrize("subject", [{"id": "a"}, {"id": None, "name": "n"}])
def test_bad_phase_offsets_are_compile_errors(subject: dict[str, object]) -> None:
    """A phase offset outside the grammar is a 400, unlike other durations."""
    said = subject["id"] or "<anonymous:n>"
    assert refusal_of(body(entry(phase_offset="9 s", **subject))) == (
        400,
        (
            f"{FAILED}compile_after error: entry '{said}': invalid duration '9 s' in phase_offset: "
            'configuration error: duration "9 s" has an invalid numeric part "9 "'
        ),
    )


def test_a_composable_document_holds_no_scenarios() -> None:
    """A posted pack definition compiles to nothing, which is refused."""
    text = "version: 2\nkind: composable\nname: p\ndescription: d\ncategory: c\nmetrics: [{name: a}]\n"
    assert refusal_of(text) == (400, "v2 scenario body produced zero entries")


def test_defaults_are_inherited_whole_and_labels_merged() -> None:
    """An entry's own block replaces the default one; only labels are merged, the entry's winning."""
    defaults = {
        "rate": 5,
        "duration": "1m",
        "start_time": "-1h",
        "encoder": {"type": "json_lines", "precision": 3},
        "sink": {"type": "tcp", "address": "h:1", "retry": None},
        "labels": {"a": "1", "b": "2"},
        "on_sink_error": "fail",
    }
    plan = plan_of(body(entry(rate=None, labels={"b": "3"}), entry(id="x", sink={"type": "stdout"}), defaults=defaults))
    first, second = plan.entries
    assert first.config == {
        "signal_type": "metrics",
        "name": "up",
        "rate": 5.0,
        "duration": "1m",
        "labels": {"a": "1", "b": "3"},
        "encoder": {"type": "json_lines", "precision": 3},
        "sink": {"type": "tcp", "address": "h:1"},
        "generator": {"type": "constant", "value": 1.0},
        "id": "up",
        "start_time": "-1h",
        "on_sink_error": "fail",
    }
    assert second.config["sink"] == {"type": "stdout"}
    assert second.config["rate"] == 10.0


def test_json_and_yaml_bodies_are_equal() -> None:
    """The same document gives the same plan in both forms."""
    text = body(entry(labels={"a": "x"}, phase_offset="1s"), scenario_name="s", tags=["t"], expect={"alerts": []})
    assert plan_of(text, BodyFormat.JSON) == plan_of(text, BodyFormat.YAML)


@pytest.mark.parametrize("block", [{"encoder": {"type": "snmp"}}, {"sink": {"type": "gnmi_target", "listen": "x"}}])
def test_network_devices_are_known_words(block: dict[str, object]) -> None:
    """The network-device kinds are told apart from typing errors."""
    status, detail = refusal_of(body(entry(**block)))
    assert status == 400
    assert "is not available in this release" in detail
