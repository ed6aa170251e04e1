"""The control plane against bytes that no client library would send."""

import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.live_server import LiveServer
from tests.support.raw_requests import RAW_REQUESTS, SMUGGLED

ANSWER_SECS = 60.0
"""Far below the time after which idle connections are closed."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")


class Outcome(NamedTuple):
    """What came back: the statuses of all answers, and whether the server ended the connection."""

    statuses: tuple[int, ...]
    has_ended: bool
    raw: bytes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = LiveServer(tmp_path_factory.mktemp("raw"), "--allow-host", "h")
    yield server
    assert server.stop() == 0
    server.assert_nothing_left()
    server.close()


def _connect(server: LiveServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), ANSWER_SECS)


def _outcome(server: LiveServer, raw: bytes, until_end: bool) -> Outcome:
    """Send `raw`; return what comes back until the end of the connection, or until one answer has come."""
    with _connect(server) as connection:
        connection.settimeout(0.2)
        # It may be refused before all of it has been taken.
        with suppress(ConnectionError):
            connection.sendall(raw)
        received, has_ended = b"", False
        deadline = time.monotonic() + ANSWER_SECS
        while time.monotonic() < deadline and not has_ended:
            try:
                part = connection.recv(65536)
            except TimeoutError:
                if received and not until_end:
                    break
                continue
            except ConnectionError:
                part = b""
            received += part
            has_ended = not part
    return Outcome(tuple(int(status) for status in _STATUS_LINE.findall(received)), has_ended, received)


@pytest.mark.parametrize("name", RAW_REQUESTS)
def test_what_is_no_request_is_refused_at_once(server: LiveServer, name: str) -> None:
    """One answer, then the end; nothing behind the request is served."""
    raw, statuses = RAW_REQUESTS[name]
    for path in (b"/", b"/scenarios"):
        found = _outcome(server, raw.replace(b" / HTTP", b" " + path + b" HTTP"), until_end=True)
        assert len(found.statuses) == 1, found.raw
        assert found.statuses[0] in statuses, found.raw
        assert found.has_ended


_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "statuses", "ends"),
    [
        (b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n", {200}, False),
        (b"\r\nGET /health HTTP/1.1\r\nHost: h\r\n\r\n", {200}, False),
        (b"GET /health HTTP/1.2\r\nHost: h\r\n\r\n", {200}, False),
        (b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", {200}, True),
        (b"GET /health HTTP/1.0\r\n\r\n", {200}, True),
        (b"get /health HTTP/1.1\r\nHost: h\r\n\r\n", {405}, False),
        (b"get /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", {404}, False),
        (b"BREW /health HTTP/1.1\r\nHost: h\r\n\r\n", {405}, False),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505}, True),
        (b"GET /health HTTP/one\r\nHost: h\r\n\r\n", {400}, True),
        (b"GET ftp://h/health HTTP/1.1\r\nHost: h\r\n\r\n", {400}, True),
        (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", {400}, True),
        (b"GET /health\x07 HTTP/1.1\r\nHost: h\r\n\r\n", {400}, True),
        (b"GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", {400}, True),
        (b"GET /health HTTP/1.1\r\nHost: user@h\r\n\r\n", {400}, True),
        (b"GET /health HTTP/1.0\n\n", {400}, True),
        (b"GET /health HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 100_000, {431}, True),
        (b"POST /scenarios HTTP/1.1\r\nHost: h\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", {413}, True),
        (b"POST /scenarios HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n", {400}, True),
        (b"POST /scenarios HTTP/1.2\r\nHost: h\r\n" + _CHUNKED + b"0\r\n\r\n", {400}, False),
        (b"POST /scenarios HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n" + SMUGGLED, {400}, True),
        (b"POST /scenarios HTTP/1.1\r\nHost: h\r\n" + _CHUNKED + b"-5\r\nhello", {400}, True),
        (b"POST /scenarios HTTP/1.1\r\nHost: h\r\n" + _CHUNKED + b"5\nhello", {400}, True),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
def test_bytes_at_the_edge_of_http(server: LiveServer, raw: bytes, statuses: set[int], ends: bool) -> None:
    """What is unusual and right is served, what is wrong is refused, and the connection is kept where that is safe."""
    found = _outcome(server, raw, until_end=ends)
    assert set(found.statuses) == statuses, found.raw
    assert len(found.statuses) == 1
    assert found.has_ended is ends


def test_every_byte_of_a_head_may_come_alone(server: LiveServer) -> None:
    """However a request is cut, it is answered as a whole."""
    with _connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":
            connection.send(bytes([byte]))
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")


def test_a_method_in_lower_case_is_told_what_is_allowed(server: LiveServer) -> None:
    """Methods are case-sensitive: an unknown one on a known path."""
    found = _outcome(server, b"get /health HTTP/1.1\r\nHost: h\r\n\r\n", until_end=False)
    assert b"\r\nAllow: GET, HEAD\r\n" in found.raw


def test_tls_on_the_plain_port_fails_at_once(server: LiveServer) -> None:
    """A client that speaks TLS sees an error instead of waiting."""
    with _connect(server) as connection, pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "127.0.0.1:1"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Host": "h"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "127.0.0.1.rebound.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_foreign_pages_do_not_drive_a_daemon_without_a_key(
    server: LiveServer, headers: dict[str, str], status: int
) -> None:
    """What a browser says about a page of another site is believed; scripts say nothing and are served."""
    answer = server.get("/scenarios", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"] == "forbidden"
        body = "version: 2\nname: x\nsignal_type: metrics\nrate: 1\ngenerator: {type: constant, value: 1}\n"
        assert server.post_yaml(body, headers={**headers, "Content-Type": "text/plain"}).status_code == 403
        assert json.loads(server.get("/scenarios").text) == {"scenarios": []}


def test_a_page_of_the_same_origin_is_served(server: LiveServer) -> None:
    """The origin is the one that the request goes to."""
    headers = {"Origin": f"http://127.0.0.1:{server.port}", "Sec-Fetch-Site": "same-origin"}
    assert server.get("/scenarios", headers=headers).status_code == 200


def test_dashboards_of_an_allowed_origin(tmp_path: Path) -> None:
    """They may ask, preflight included, and their pages may read the answers; with a key they need it too."""
    server = LiveServer(tmp_path, "--allow-origin", "https://dash.example", "--api-key", "s3cret")
    try:
        asking = {"Origin": "https://dash.example", "Access-Control-Request-Method": "DELETE"}
        preflight = server.request("OPTIONS", "/scenarios/x", headers=asking)
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://dash.example"
        assert "DELETE" in preflight.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        refused = server.get("/scenarios", headers={"Origin": "https://dash.example"})
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == "https://dash.example"
        foreign = {**asking, "Origin": "https://evil.example"}
        assert server.request("OPTIONS", "/scenarios/x", headers=foreign).status_code == 401
        assert "Access-Control-Allow-Origin" not in server.get("/health", headers=foreign).headers
        assert server.get("/health", headers=foreign).headers["Vary"] == "Origin"
        assert server.stop() == 0
    finally:
        server.kill()
        server.close()
