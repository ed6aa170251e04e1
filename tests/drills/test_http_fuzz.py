"""Whatever is sent, the control plane answers by its rules and goes on."""

import contextlib
import logging
import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.settings import parse_settings
from tests.conftest import StartServer
from tests.support.http_app import AppClient
from tests.support.http_server import RawAnswer, RawConnection
from tests.support.live_server import LiveServer
from tests.support.memory_plane import MemoryControlPlane
from tests.support.mutations import broken_body, scrambled_body

SEED = 20261124
KEY = "sesame"
JSON = "application/json"


def check_refusal(status: int, content_type: str | None, body: bytes) -> None:
    """Assert the error envelope of a refused body."""
    assert status in (400, 422), body
    assert content_type == JSON
    answer = msgspec.json.decode(body)
    assert list(answer) == ["error", "detail", "faults"]
    assert 0 < len(answer["faults"]) <= 50
    assert all(fault["message"] for fault in answer["faults"])


@pytest.fixture
def quiet_log() -> Any:
    """Ten thousand refusals are as many warnings."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def test_ten_thousand_broken_bodies_are_all_refused(quiet_log: None) -> None:
    """Unknown, missing, duplicate and out-of-bounds fields, cut and wrongly encoded texts: 4xx, nothing launched."""
    source = random.Random(SEED)
    plane = MemoryControlPlane()
    client = AppClient(plane, parse_settings("sondad", [], {}))
    for _ in range(10_000):
        content_type, body = broken_body(source)
        answer = client.request("POST", "/scenarios", body, {"Content-Type": content_type})
        check_refusal(answer.status_code, answer.headers.get("content-type"), answer.content)
    assert plane.scenarios() == []


def test_scrambled_bodies_are_launched_or_refused_and_nothing_else(quiet_log: None) -> None:
    """A few changed bytes never get beyond 201, 4xx and their JSON."""
    source = random.Random(SEED)
    client = AppClient(MemoryControlPlane(), parse_settings("sondad", [], {}))
    refused = 0
    for _ in range(3000):
        content_type, body = scrambled_body(source)
        answer = client.request("POST", "/scenarios", body, {"Content-Type": content_type})
        if answer.status_code == 201:
            for row in answer.json.get("scenarios", [answer.json]):
                assert client.request("DELETE", f"/scenarios/{row['id']}").status_code == 200
        else:
            check_refusal(answer.status_code, answer.headers.get("content-type"), answer.content)
            refused += 1
    assert refused > 1000


HOSTILE = [
    (JSON, b"[" * 1_000_000),
    (JSON, b'{"a":' * 150_000),
    ("text/yaml", b"[" * 1_000_000),
    ("text/yaml", b"{a: " * 200_000),
    ("text/yaml", b"- " * 400_000),
    (
        "text/yaml",
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 122)),
    ),
    ("text/yaml", b"version: 2\nversion: 2\n"),
    ("text/yaml", b"a: " + b"9" * 900_000),
    (JSON, b'{"version":' + b"9" * 900_000 + b"}"),
    ("text/yaml", b"? " * 100_000),
    ("text/yaml", b"%YAML 9.9\n---\n"),
    ("text/yaml", b"--- a\n--- b\n"),
    ("text/yaml", b"version: 2\nscenarios: [" + b"{}," * 300_000 + b"]"),
    ("text/yaml", b"!!python/object/apply:os.system ['true']"),
    ("text/yaml", "\ufeff\u2028".encode() * 1000),
]


def test_broken_and_hostile_bodies_over_the_socket(server: LiveServer) -> None:
    """Bombs, deep nesting and broken bodies get their 4xx from a live daemon, which then works as before."""
    source = random.Random(SEED + 1)
    for content_type, body in [*HOSTILE, *(broken_body(source) for _ in range(400))]:
        answer = server.request("POST", "/scenarios", data=body, headers={"Content-Type": content_type})
        check_refusal(answer.status_code, answer.headers.get("content-type"), answer.content)
    assert server.get("/scenarios").json() == {"scenarios": []}
    assert "Traceback" not in server.log()
    server.launch(
        "version: 2\ndefaults: {rate: 10}\n"
        "scenarios: [{signal_type: metrics, name: up, generator: {type: constant, value: 1}}]\n"
    )


TOKENS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
METHODS = TOKENS | st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ-_!", min_size=1, max_size=12)
ENCODED = st.binary(min_size=0, max_size=12).map(lambda raw: "".join(f"%{byte:02X}" for byte in raw))
PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/?#"), max_size=12)
SEGMENTS = (
    st.sampled_from(["scenarios", "health", "metrics", "stats", "running-id", "", "events", ".."]) | ENCODED | PLAIN
)
PATHS = st.lists(SEGMENTS, min_size=0, max_size=4).map(lambda segments: "/" + "/".join(segments)) | st.sampled_from(
    ["/scenarios", "/scenarios/running-id", "/scenarios/running-id/stats", "/scenarios/running-id/metrics", "/health"]
)
QUERIES = st.sampled_from(
    ["", "?", "?limit=5", "?limit=", "?limit=1&limit=2", "?mode=snapshot", "?mode=x", "?&=&%"]
) | (st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=20).map("?".__add__))
HEADER_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=20)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["Accept", "Content-Type", "Origin", "Range", "If-None-Match", "X-Forwarded-For", "Connection"]
        ),
        st.sampled_from(["text/yaml", JSON, "close", "keep-alive", "bytes=0-1", "*/*"]) | HEADER_VALUES,
    ),
    max_size=3,
)
AUTHORIZATIONS = st.sampled_from([f"Bearer {KEY}"] * 6 + ["Bearer x", "", "Basic x", f"Bearer {KEY} "])
BODIES = st.binary(max_size=200) | st.sampled_from([b"{}", b"version: 2\n", b'{"version":2,"scenarios":[]}', b"[]"])

KNOWN = {200, 204, 400, 401, 404, 405, 413}


def check_answer(method: str, answer: RawAnswer) -> None:
    """Assert what holds for any answer to any request."""
    assert answer.status in KNOWN, answer
    if answer.status == 405:
        assert answer.headers["allow"]
        assert answer.body == b""
    if answer.body and answer.status in (400, 401, 404) and answer.headers["content-type"] == JSON:
        assert list(msgspec.json.decode(answer.body))[:2] == ["error", "detail"]
    if method == "HEAD":
        assert answer.body == b""


def test_any_request_is_answered_by_the_rules(start_server: StartServer) -> None:
    """Random methods, paths, queries, headers and bodies: no 5xx, no broken answer, no scenario, a living daemon."""
    server = start_server("--api-key", KEY)
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(RawConnection(server.port))
        body = (
            b"version: 2\nscenarios: [{signal_type: metrics, name: up, rate: 9, generator: {type: constant, value: 1}}]"
        )
        posted = connection.ask(f"POST /scenarios HTTP/1.1\nContent-Type: text/yaml\nAuthorization: Bearer {KEY}", body)
        assert posted.status == 201
        running = msgspec.json.decode(posted.body)["id"]

        @settings(max_examples=3000, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
        @given(METHODS, PATHS, QUERIES, HEADERS, AUTHORIZATIONS, BODIES)
        def ask(
            method: str, path: str, query: str, headers: list[tuple[str, str]], authorization: str, body: bytes
        ) -> None:
            nonlocal connection
            if method == "DELETE":
                path = path.replace("running-id", "other-id")
            target = path.replace("running-id", running) + query
            lines = [f"{method} {target} HTTP/1.1", f"Authorization: {authorization}"]
            lines += [f"{name}: {value}" for name, value in headers]
            try:
                answer = connection.ask("\n".join(lines), body)
            except (EOFError, ConnectionError):
                # The answer before closed the connection; the request was not looked at.
                connection.close()
                connection = stack.enter_context(RawConnection(server.port))
                answer = connection.ask("\n".join(lines), body)
            check_answer(method, answer)

        ask()
        still = connection.ask(f"GET /scenarios HTTP/1.1\nAuthorization: Bearer {KEY}")
        assert [row["id"] for row in msgspec.json.decode(still.body)["scenarios"]] == [running]
    assert server.get("/health").status_code == 200
    assert "Traceback" not in server.log()
