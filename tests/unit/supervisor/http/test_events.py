"""POST /events: its statuses, bodies, warnings and log lines; nothing is delivered here."""

import json
import logging
from typing import Any

import pytest

from common.plan import EntryPlan
from supervisor.engine.control_plane import CallTimeoutError, EventError, LaunchError
from tests.support.http_app import AppClient

LOG: dict[str, Any] = {
    "signal_type": "logs",
    "log": {"severity": "info", "message": "m"},
    "encoder": {"type": "json_lines"},
    "sink": {"type": "memory"},
}
METRIC: dict[str, Any] = {
    "signal_type": "metrics",
    "metric": {"name": "up", "value": 1},
    "encoder": {"type": "prometheus_text"},
    "sink": {"type": "tcp", "address": "localhost:9"},
}


def post(client: AppClient, body: object, **headers: str) -> Any:
    return client.request("POST", "/events", json.dumps(body), headers)


def fields_of(caplog: pytest.LogCaptureFixture, text: str) -> list[dict[str, object]]:
    return [dict(record.fields) for record in caplog.records if text in record.getMessage()]


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize("content_type", ["application/json", "text/yaml", "text/plain", ""])
def test_a_delivered_event(client: AppClient, caplog: pytest.LogCaptureFixture, content_type: str) -> None:
    """The answer comes with whole milliseconds; the body is JSON whatever its type says; no scenario is made."""
    client.plane.event_latency_ns = 9_999_999
    answer = post(client, LOG, **({"Content-Type": content_type} if content_type else {}))
    assert (answer.status_code, answer.content) == (200, b'{"sent":true,"signal_type":"logs","latency_ms":9}')
    assert "application/json" in answer.headers["content-type"]
    (entry,) = client.plane.delivered
    assert isinstance(entry, EntryPlan)
    assert client.get("/scenarios").json == {"scenarios": []}
    assert fields_of(caplog, "POST /events: event delivered") == [
        {"signal_type": "logs", "sink_type": "memory", "latency_ms": 9, "result": "ok"}
    ]


def test_a_loopback_destination_is_warned_of(client: AppClient, caplog: pytest.LogCaptureFixture) -> None:
    """In the answer and in the log, under the name of the signal."""
    answer = post(client, METRIC)
    (warning,) = answer.json["warnings"]
    assert warning.startswith("scenario entry 'events.metrics' sink `tcp` targets `localhost:9` — this host resolves")
    assert list(answer.json) == ["sent", "signal_type", "latency_ms", "warnings"]
    assert fields_of(caplog, "POST /events: sink pre-flight warning") == [
        {"message": warning, "origin": "POST /events"}
    ]


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (
            EventError("TCP connect to 10.9.8.7:6: Connection refused (os error 111)", "sink"),
            502,
            {
                "error": "bad_gateway",
                "detail": "sink error: TCP connect to 10.9.8.7:6: Connection refused (os error 111)",
            },
        ),
        (
            EventError("log encoding not supported by this encoder", "encoder"),
            500,
            {
                "error": "internal_server_error",
                "detail": "encoder error: log encoding not supported by this encoder",
            },
        ),
        (
            EventError("killed by signal 9 (SIGKILL)", "runtime"),
            500,
            {"error": "internal_server_error", "detail": "runtime error: killed by signal 9 (SIGKILL)"},
        ),
        (
            LaunchError("the daemon is shutting down"),
            500,
            {"error": "internal_server_error", "detail": "the daemon is shutting down"},
        ),
    ],
)
def test_an_event_that_is_not_delivered(
    client: AppClient, caplog: pytest.LogCaptureFixture, error: Exception, status: int, body: dict[str, str]
) -> None:
    """Encoder, destination or daemon: each has its status; warnings are left out, the log has the reason."""
    client.plane.event_error = error
    answer = post(client, METRIC)
    assert (answer.status_code, answer.json) == (status, body)
    (logged,) = fields_of(caplog, "POST /events: event delivery failed")
    assert (logged["signal_type"], logged["sink_type"], logged["result"]) == ("metrics", "tcp", "error")
    assert str(logged["error"]) == str(error)


def test_an_event_that_takes_too_long(client: AppClient) -> None:
    """An empty 408."""
    client.plane.event_error = CallTimeoutError("the event was not delivered within 30 s")
    answer = post(client, LOG)
    assert (answer.status_code, answer.content) == (408, b"")


def test_what_is_refused_reaches_no_worker(client: AppClient, caplog: pytest.LogCaptureFixture) -> None:
    """400 and 422 in the common envelope; the 422 comes after the warnings were logged, and shows none."""
    refused = post(client, METRIC | {"sink": {"type": "pigeon"}})
    assert refused.status_code == 400
    assert refused.json["error"] == "bad_request"
    assert refused.json["detail"].startswith("invalid event body: sink: unknown variant `pigeon`")
    unusable = post(client, METRIC | {"metric": {"name": "9x", "value": 1}})
    assert unusable.status_code == 422
    assert unusable.json == {
        "error": "unprocessable_entity",
        "detail": 'invalid metric name "9x": must match [a-zA-Z_:][a-zA-Z0-9_:]*',
        "faults": [
            {
                "path": "metric.name",
                "line": 1,
                "column": 47,
                "message": 'invalid metric name "9x": must match [a-zA-Z_:][a-zA-Z0-9_:]*',
                "hint": "did you mean `_9x`?",
            }
        ],
    }
    assert client.plane.delivered == []
    assert len(fields_of(caplog, "sink pre-flight warning")) == 1
    assert not fields_of(caplog, "event deliver")


def test_the_key_is_asked_for(locked: AppClient) -> None:
    """Before the body is looked at, and before the method."""
    assert locked.request("POST", "/events", "{").status_code == 401
    assert locked.request("GET", "/events").status_code == 401
    assert post(locked, LOG, Authorization="Bearer sesame").status_code == 200


def test_a_large_body_is_refused(client: AppClient) -> None:
    """As on every control route."""
    answer = client.request("POST", "/events", b"x" * 1001)
    assert (answer.status_code, answer.content) == (413, b"")
