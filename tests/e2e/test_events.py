"""POST /events through a live daemon, to real destinations."""

import json
import re
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.backends import backend
from tests.support.live_server import REQUEST_SECS, LiveServer, new_session
from tests.support.polling import wait_until
from tests.support.processes import has_connections
from tests.support.receiver import Answer, Receiver

LOG: dict[str, Any] = {
    "signal_type": "logs",
    "labels": {"app": "edge"},
    "log": {"severity": "warning", "message": "disk {x}", "fields": {"dev": "sdb", "note": ""}},
    "encoder": {"type": "json_lines"},
}
METRIC: dict[str, Any] = {
    "signal_type": "metrics",
    "labels": {"host": "n1"},
    "metric": {"name": "up", "value": 1},
    "encoder": {"type": "prometheus_text"},
}
ROOT = Path(__file__).parents[2]
RETRY = {"max_attempts": 2, "initial_backoff": "1ms", "max_backoff": "2ms"}


@pytest.fixture
def server(shared_server: LiveServer) -> LiveServer:
    return shared_server


def send(server: LiveServer, body: dict[str, Any], sink: dict[str, Any], **options: Any) -> tuple[int, Any]:
    answer = server.post({**body, "sink": sink}, "/events", **options)
    return answer.status_code, answer.json() if answer.content else None


def delivered(server: LiveServer, body: dict[str, Any], sink: dict[str, Any]) -> dict[str, Any]:
    status, answer = send(server, body, sink)
    assert status == 200, answer
    assert answer["sent"] is True
    assert answer["signal_type"] == body["signal_type"]
    assert isinstance(answer["latency_ms"], int)
    return answer


def test_a_file_holds_the_newest_event(server: LiveServer, tmp_path: Path) -> None:
    """It is there when the answer is, as the encoder writes it; directories are made, and each event truncates."""
    path = tmp_path / "new" / "event"
    sink = {"type": "file", "path": str(path)}
    assert "warnings" not in delivered(server, LOG, sink)
    written = json.loads(path.read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written.pop("timestamp"))
    assert written == {
        "severity": "warn",
        "message": "disk {x}",
        "labels": {"app": "edge"},
        "fields": {"dev": "sdb", "note": ""},
    }
    before_ms = time.time_ns() // 1_000_000
    delivered(server, METRIC, sink)
    name, value, stamp_ms = path.read_text().rstrip("\n").split(" ")
    assert (name, value) == ('up{host="n1"}', "1")
    assert before_ms <= int(stamp_ms) <= time.time_ns() // 1_000_000
    assert server.get("/scenarios").json() == {"scenarios": []}
    lines = lambda: server.log_lines("POST /events: event delivered")  # noqa: E731
    wait_until(lambda: len(lines()) == 2, "a line for each")
    assert "signal_type=logs sink_type=file latency_ms=" in lines()[0]


def test_the_documented_command(server: LiveServer, tmp_path: Path) -> None:
    """What the page about sinks tells users to type is typed, port and directory aside."""
    backend("curl")
    page = (ROOT / "docs" / "sinks.md").read_text().partition("\n## A single event\n")[2].partition("\n## ")[0]
    (command,) = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    typed = command.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}").replace("/tmp/", f"{tmp_path}/")
    answered = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, timeout=30, check=True).stdout
    (promised,) = re.findall(r'^answers `(\{"sent".*?\})`', page, re.MULTILINE)
    assert re.sub(r'"latency_ms":\d+', '"latency_ms":0', answered) == promised
    assert '"message":"deploy started"' in (tmp_path / "event.json").read_text()


def test_stdout_is_the_daemons_own(start_server: StartServer) -> None:
    """An event is a line there, and still delivered when nobody reads it any more."""
    server = start_server(piped_stdout=True)
    delivered(server, METRIC, {"type": "stdout"})
    assert server.stdout.readline().startswith(b'up{host="n1"} 1 ')
    server.stdout.close()
    for _ in range(3):
        delivered(server, METRIC, {"type": "stdout"})
    wait_until(lambda: len(server.log_lines("stdout was closed by its reader")) == 1, "the one warning")


def test_tcp(server: LiveServer) -> None:
    """One connection for one event, ended in order; a refused one is a 502 with the reason."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        answer = delivered(server, METRIC, {"type": "tcp", "address": address})
        connection, _ = listener.accept()
        with connection:
            received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert received.startswith(b'up{host="n1"} 1 ')
    assert received.endswith(b"\n")
    (warning,) = answer["warnings"]
    assert warning.startswith(f"scenario entry 'events.metrics' sink `tcp` targets `{address}` — this host resolves")
    assert send(server, METRIC, {"type": "tcp", "address": address}) == (
        502,
        {
            "error": "bad_gateway",
            "detail": f"sink error: TCP connect to {address}: Connection refused (os error 111)",
        },
    )
    (line,) = wait_until(lambda: server.log_lines("POST /events: event delivery failed"), "the line of the failure")
    assert "signal_type=metrics sink_type=tcp latency_ms=" in line
    assert "Connection refused" in line


def test_udp(server: LiveServer) -> None:
    """One datagram; one that no datagram can hold is a 502."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        sink = {"type": "udp", "address": f"127.0.0.1:{receiver.getsockname()[1]}"}
        delivered(server, LOG | {"encoder": {"type": "syslog"}}, sink)
        assert re.fullmatch(rb'<12>1 \S+ sonda sonda - - \[sonda app="edge"\] disk \{x\}\n', receiver.recv(65536))
        long = LOG | {"log": {"severity": "info", "message": "x" * 70_000}}
        status, answer = send(server, long, sink)
    assert status == 502
    assert answer["detail"].startswith("sink error: UDP datagram size 70")
    assert "exceeds maximum 65507" in answer["detail"]


@pytest.mark.parametrize(
    ("statuses", "retry", "status", "requests"),
    [
        ([204], None, 200, 1),
        ([500], None, 502, 1),
        ([429], None, 502, 1),
        ([302], None, 502, 1),
        ([400], None, 200, 1),
        ([503, 503, 200], RETRY, 200, 3),
        ([503, 503, 503], RETRY, 502, 3),
        ([503, 400], RETRY, 200, 2),
    ],
)
def test_http_push(
    server: LiveServer, statuses: list[int], retry: dict[str, Any] | None, status: int, requests: int
) -> None:
    """Sent at once, whatever the batch size; refused for good is not a failure; retries are the sink's."""
    with Receiver(lambda number: Answer(statuses[number])) as receiver:
        sink: dict[str, Any] = {"type": "http_push", "url": f"{receiver.url}/in", "batch_size": 1_000_000}
        sink |= {"content_type": "text/plain"} | ({"retry": retry} if retry else {})
        got, answer = send(server, METRIC, sink)
        assert got == status, answer
        assert len(receiver.requests) == requests
        assert all(request.body.startswith(b'up{host="n1"} 1 ') for request in receiver.requests)
        assert receiver.requests[0].headers["content-type"] == "text/plain"
        if status == 502:
            assert answer == {
                "error": "bad_gateway",
                "detail": f"sink error: HTTP {statuses[-1]} from '{receiver.url}/in'",
            }
        elif statuses[-1] == 400:
            said = f"http_push sink: received HTTP 400 from '{receiver.url}/in'; discarding batch"
            wait_until(lambda: server.log_lines(said), "the note of the refusal")


def test_loki(server: LiveServer) -> None:
    """The labels are the stream's, the stamp is the event's, with all its nanoseconds."""
    with Receiver() as receiver:
        answer = delivered(server, LOG, {"type": "loki", "url": receiver.url, "batch_size": 100})
        assert "sink `loki` targets" in answer["warnings"][0]
        (request,) = receiver.requests
    assert request.line == "POST /loki/api/v1/push HTTP/1.1"
    (stream,) = json.loads(request.body)["streams"]
    assert stream["stream"] == {"app": "edge"}
    ((stamp_ns, line),) = stream["values"]
    assert abs(int(stamp_ns) - time.time_ns()) < 60_000_000_000
    assert json.loads(line)["message"] == "disk {x}"


@pytest.mark.parametrize(
    ("body", "sink", "status", "error", "detail"),
    [
        (LOG, {"type": "pigeon"}, 400, "bad_request", "invalid event body: sink: unknown variant `pigeon`"),
        (METRIC | {"labels": {"a": 1}}, {"type": "stdout"}, 400, "bad_request", "invalid event body: labels.a"),
        (
            METRIC | {"metric": {"name": "9x", "value": 1}},
            {"type": "stdout"},
            422,
            "unprocessable_entity",
            'invalid metric name "9x": must match [a-zA-Z_:][a-zA-Z0-9_:]*',
        ),
        (
            METRIC | {"labels": {"a-b": ""}},
            {"type": "stdout"},
            422,
            "unprocessable_entity",
            'invalid label key "a-b": must match [a-zA-Z_][a-zA-Z0-9_]*',
        ),
        (
            METRIC,
            {"type": "tcp", "address": "h:1", "retry": RETRY | {"max_attempts": 0}},
            422,
            "unprocessable_entity",
            "retry max_attempts must be at least 1",
        ),
        (
            LOG,
            {"type": "http_push", "url": "ftp://h"},
            502,
            "bad_gateway",
            "sink error: invalid HTTP push URL 'ftp://h': must start with http:// or https://",
        ),
        (
            LOG,
            {"type": "http_push", "url": "http://name.invalid/"},
            502,
            "bad_gateway",
            "sink error: HTTP push to 'http://name.invalid/' failed: ",
        ),
        (LOG, {"type": "file", "path": "/tmp"}, 502, "bad_gateway", "sink error: failed to open /tmp for writing: "),
        (LOG, {"type": "file", "path": "/etc/x"}, 422, "unprocessable_entity", 'path "/etc/x" is outside the allowed'),
        (
            LOG | {"encoder": {"type": "influx_lp"}},
            {"type": "stdout"},
            500,
            "internal_server_error",
            "encoder error: log encoding not supported by this encoder",
        ),
        (
            METRIC | {"encoder": {"type": "syslog"}},
            {"type": "stdout"},
            500,
            "internal_server_error",
            "encoder error: metric encoding not supported by syslog encoder",
        ),
    ],
)
def test_what_is_refused(
    server: LiveServer, body: dict[str, Any], sink: dict[str, Any], status: int, error: str, detail: str
) -> None:
    """Status, word and text of each; nothing is left behind."""
    got, answer = send(server, body, sink)
    assert (got, answer["error"]) == (status, error)
    assert answer["detail"].startswith(detail)
    assert list(answer) == (["error", "detail"] if status >= 500 else ["error", "detail", "faults"])
    assert server.get("/scenarios").json() == {"scenarios": []}


def test_bodies_and_methods(start_server: StartServer) -> None:
    """JSON whatever the type says, in whole and up to the limit, with the key and by POST alone."""
    server = start_server("--max-body-bytes", "1000", "--api-key", "sesame")
    key = {"Authorization": "Bearer sesame"}
    text = json.dumps({**LOG, "sink": {"type": "memory"}})
    for content_type in ("text/yaml", "application/x-www-form-urlencoded"):
        answer = server.request("POST", "/events", data=text, headers={**key, "Content-Type": content_type})
        assert answer.status_code == 200, answer.text
    assert server.request("POST", "/events", data=text[:-1], headers=key).status_code == 400
    assert server.request("POST", "/events", data=text).status_code == 401
    assert server.request("POST", "/events", data=b"x" * 1001, headers=key).status_code == 413
    refused = server.get("/events", headers=key)
    assert (refused.status_code, refused.headers["Allow"], refused.content) == (405, "POST", b"")
    assert server.request("POST", "/events/", data=text, headers=key).status_code == 404


def test_destinations_that_hang_hold_up_nobody(start_server: StartServer, tmp_path: Path) -> None:
    """With every control call waiting for one, each gets its 408, and then others are served."""
    server = start_server("--request-timeout", "2", "--max-inflight-requests", "3")
    with Receiver(lambda _: Answer(silent=True)) as receiver, ThreadPoolExecutor(3) as askers:
        body = {**METRIC, "sink": {"type": "http_push", "url": receiver.url}}
        asked = [askers.submit(_ask, server.url, body) for _ in range(3)]
        wait_until(lambda: len(receiver.requests) == 3, "three deliveries hang")
        assert [future.result() for future in asked] == [(408, b"")] * 3
    event = {**METRIC, "sink": {"type": "file", "path": str(tmp_path / "after")}}
    wait_until(lambda: server.post(event, "/events").status_code == 200, "another is delivered in time")
    wait_until(lambda: len(server.log_lines("event delivery failed")) >= 3, "a line for each")
    wait_until(lambda: not any(map(has_connections, server.descendants())), "the workers that hung have gone")


def _ask(url: str, body: dict[str, Any]) -> tuple[int, bytes]:
    with new_session() as session:
        answer = session.post(f"{url}/events", json=body, timeout=REQUEST_SECS)
        return answer.status_code, answer.content


def test_a_shutdown_while_an_event_hangs(start_server: StartServer) -> None:
    """The daemon leaves in its time, and the client is told."""
    server = start_server()
    with Receiver(lambda _: Answer(silent=True)) as receiver, ThreadPoolExecutor(1) as askers:
        body = {**METRIC, "sink": {"type": "http_push", "url": receiver.url}}
        asked = askers.submit(_ask, server.url, body)
        wait_until(lambda: receiver.requests, "the delivery hangs")
        assert server.stop() == 0
        status, text = asked.result()
    assert status == 502
    assert b"no answer before the scenario had to stop" in text


def test_many_clients(server: LiveServer) -> None:
    """A few hundred events from many clients at once all arrive, and no process stays busy with them."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        collector = threading.Thread(target=_collect, args=(listener, received, 300))
        collector.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        def ask(number: int) -> int:
            metric = {"name": "n", "value": number}
            body = {**METRIC, "metric": metric, "sink": {"type": "tcp", "address": address}}
            return _ask(server.url, body)[0]

        with ThreadPoolExecutor(12) as askers:
            assert set(askers.map(ask, range(300))) == {200}
        collector.join(60)
    assert sorted(int(line.split()[1]) for line in received) == list(range(300))
    assert server.get("/scenarios").json() == {"scenarios": []}


def _collect(listener: socket.socket, received: list[bytes], count: int) -> None:
    for _ in range(count):
        connection, _ = listener.accept()
        with connection:
            received.append(b"".join(iter(lambda: connection.recv(4096), b"")))  # noqa: B023
