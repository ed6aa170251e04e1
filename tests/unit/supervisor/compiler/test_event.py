"""The body of POST /events: what is read, what is refused and with which words."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import CompileError
from common.plan import EntryPlan, ReplayRows
from common.specs import Constant, HttpPush, JsonLines, Stdout
from supervisor.compiler.event import plan_event, read_event
from supervisor.compiler.paths import file_access

LOG: dict[str, Any] = {
    "signal_type": "logs",
    "labels": {"b": "2", "a": "1"},
    "log": {"severity": "warn", "message": "disk {x}", "fields": {"dev": "sdb", "note": ""}},
    "encoder": {"type": "json_lines"},
    "sink": {"type": "stdout"},
}
METRIC: dict[str, Any] = {
    "signal_type": "metrics",
    "metric": {"name": "up", "value": 1.5},
    "encoder": {"type": "json_lines"},
    "sink": {"type": "stdout"},
}

NO_RETRY = {"max_attempts": 0, "initial_backoff": "1s", "max_backoff": "1s"}


def planned(body: object, *allowed_paths: Path) -> EntryPlan:
    return plan_event(read_event(json.dumps(body).encode()), file_access(allowed_paths, None, None))


def refused(payload: bytes | dict[str, Any], *allowed_paths: Path) -> tuple[int, str]:
    with pytest.raises(CompileError) as caught:
        plan_event(
            read_event(payload if isinstance(payload, bytes) else json.dumps(payload).encode()),
            file_access(allowed_paths, None, None),
        )
    return caught.value.status, caught.value.detail


def test_a_log_event() -> None:
    """Its message is literal, its fields are there even when they are empty, labels are sorted."""
    plan = planned(LOG)
    assert plan.signal_type == "logs"
    assert plan.labels == {"a": "1", "b": "2"}
    assert list(plan.labels) == ["a", "b"]
    assert plan.generator == ReplayRows(
        severities=b"\3", messages=("disk {x}",), fields={"dev": ("sdb",), "note": ("",)}, repeat=False
    )
    assert (plan.encoder, plan.sink) == (JsonLines(), Stdout())


@pytest.mark.parametrize(("value", "number"), [(1.5, 1.5), (3, 3.0), (-0.0, -0.0), (10**30, 1e30)])
def test_a_metric_event(value: float, number: float) -> None:
    """Integers are numbers, of any size; labels may be missing."""
    plan = planned(METRIC | {"metric": {"name": "a:b_1", "value": value}})
    assert (plan.signal_type, plan.name, plan.labels) == ("metrics", "a:b_1", {})
    assert plan.generator == Constant(value=number)


@pytest.mark.parametrize(
    ("severity", "place"),
    [("trace", 0), ("debug", 1), ("info", 2), ("warn", 3), ("warning", 3), ("error", 4), ("fatal", 5)],
)
def test_severities(severity: str, place: int) -> None:
    """Six in small letters, and one more name for a warning."""
    plan = planned(LOG | {"log": {"severity": severity, "message": ""}})
    assert isinstance(plan.generator, ReplayRows)
    assert list(plan.generator.severities) == [place]


def test_what_is_ignored() -> None:
    """Unknown keys at every level, and the object of the other signal, whatever it holds."""
    plan = planned(
        METRIC
        | {"log": 5, "x": 1, "metric": {"name": "up", "value": 1.5, "unit": "s"}}
        | {"encoder": {"type": "json_lines", "x": 1}, "sink": {"type": "stdout", "x": {}}}
    )
    assert plan == planned(METRIC)
    assert planned(LOG | {"metric": []}) == planned(LOG)


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (b"", "Expecting value"),
        (b"\xff", "not UTF-8"),
        (b"[]", "invalid type: sequence"),
        (b'{"signal_type": "logs", "signal_type": "logs"}', 'duplicate key "signal_type"'),
        (b'{"signal_type": NaN}', "NaN is not a JSON number"),
        (b"{} {}", "Extra data"),
        (b"[" * 100_000, "nested deeper"),
        ({}, "missing field `signal_type`"),
        (METRIC | {"signal_type": "traces"}, "unknown variant `traces`"),
        (METRIC | {"signal_type": None}, "signal_type: invalid type"),
        ({**METRIC, "metric": None}, "metric: invalid type: unit value"),
        ({key: METRIC[key] for key in ("signal_type", "encoder", "sink")}, "missing field `metric`"),
        ({key: LOG[key] for key in ("signal_type", "encoder", "sink")}, "missing field `log`"),
        ({key: LOG[key] for key in ("signal_type", "log", "sink")}, "missing field `encoder`"),
        ({key: LOG[key] for key in ("signal_type", "log", "encoder")}, "missing field `sink`"),
        (LOG | {"log": {"severity": "warn"}}, "missing field `message`"),
        (LOG | {"log": {"message": "m"}}, "missing field `severity`"),
        (LOG | {"log": {"severity": "WARN", "message": "m"}}, "unknown variant `WARN`"),
        (LOG | {"log": {"severity": "info", "message": 5}}, "log.message: invalid type: integer `5`"),
        (LOG | {"log": {"severity": "info", "message": "m", "fields": {"a": 1}}}, "log.fields.a"),
        (LOG | {"labels": {"a": 1}}, "labels.a: invalid type: integer `1`, expected a string"),
        (LOG | {"labels": {"a": None}}, "labels.a"),
        (LOG | {"labels": None}, "labels: invalid type: unit value"),
        (METRIC | {"metric": {"name": "up"}}, "missing field `value`"),
        (METRIC | {"metric": {"name": "up", "value": "1"}}, 'metric.value: invalid type: string "1"'),
        (METRIC | {"metric": {"name": "up", "value": None}}, "metric.value"),
        (METRIC | {"metric": {"name": "up", "value": True}}, "metric.value"),
        (json.dumps(METRIC).replace("1.5", "1e999").encode(), "number out of range"),
        (METRIC | {"encoder": {"type": "xml"}}, "encoder: unknown variant `xml`"),
        (METRIC | {"encoder": {}}, "encoder: missing field `type`"),
        (METRIC | {"sink": {"type": "pigeon"}}, "sink: unknown variant `pigeon`"),
        (METRIC | {"sink": {"type": "file"}}, "missing field `path`"),
        (METRIC | {"sink": {"type": "snmp_trap"}}, "type `snmp_trap` is not available in this release"),
    ],
)
def test_what_is_no_event(payload: bytes | dict[str, Any], named: str) -> None:
    """Each is a 400 that names the bad value or the missing field."""
    status, detail = refused(payload)
    assert status == 400
    assert detail.startswith("invalid event body: ")
    assert named in detail


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            METRIC | {"metric": {"name": "9x", "value": 1}},
            'invalid metric name "9x": must match [a-zA-Z_:][a-zA-Z0-9_:]*',
        ),
        (LOG | {"labels": {"z": "", "a-b": ""}}, 'invalid label key "a-b": must match [a-zA-Z_][a-zA-Z0-9_]*'),
        (METRIC | {"encoder": {"type": "json_lines", "precision": 18}}, "encoder precision must be 0..=17, got 18"),
        (
            LOG | {"sink": {"type": "tcp", "address": "h:1", "retry": NO_RETRY}},
            "retry max_attempts must be at least 1",
        ),
        (
            LOG | {"sink": {"type": "loki", "url": "http://h", "max_buffer_age": "5"}},
            'unrecognized duration unit in "5": expected one of ms, s, m, h',
        ),
    ],
)
def test_values_that_cannot_be_used(body: dict[str, Any], detail: str) -> None:
    """Each is a 422 with the bare text."""
    assert refused(body) == (422, detail)


def test_labels_are_judged_before_the_name_and_the_name_before_the_sink() -> None:
    """The first of several faults, in a fixed order, is told."""
    body = METRIC | {"labels": {"a-b": ""}, "metric": {"name": "9", "value": 1}}
    body |= {"sink": {"type": "loki", "url": "x", "max_buffer_age": "5"}}
    assert "label key" in refused(body)[1]
    assert "metric name" in refused(body | {"labels": {}})[1]


def test_files_lie_under_the_allowed_roots(tmp_path: Path) -> None:
    """As those of scenarios."""
    body = LOG | {"sink": {"type": "file", "path": str(tmp_path / "a")}}
    assert planned(body, tmp_path).sink == planned(body).sink
    status, detail = refused(LOG | {"sink": {"type": "file", "path": "/etc/passwd"}}, tmp_path)
    assert status == 422
    assert "outside the allowed roots" in detail


def test_a_wrong_scheme_is_the_sinks_affair() -> None:
    """It is found out when the sink is opened, unlike in a scenario."""
    assert planned(LOG | {"sink": {"type": "http_push", "url": "ftp://h"}}).sink == HttpPush(url="ftp://h")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("signal_type", "labels", "log", "metric", "encoder", "sink")


@given(st.sampled_from([LOG, METRIC]), st.dictionaries(st.sampled_from(KEYS), json_values, max_size=3))
def test_any_body_is_an_event_or_refused(body: dict[str, Any], changed: dict[str, Any]) -> None:
    """With a 400 or a 422, never anything else."""
    try:
        planned(body | changed)
    except CompileError as exc:
        status = exc.status
    else:
        status = 200
    assert status in (200, 400, 422)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(payload: bytes) -> None:
    """As no event, whatever they are."""
    assert refused(payload)[0] == 400
