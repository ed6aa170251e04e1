"""Hostile and broken HTTP on a client socket: complete answers, and nobody else is disturbed."""

import base64
import contextlib
import hashlib
import socket
from collections.abc import Iterator

import pytest

from tests.support.live_relay import (
    BODY,
    LiveRelay,
    clients_config,
    connect,
    exchange,
    live,
    own,
    read_all,
    request,
)
from tests.support.polling import wait_until

HEADERS = (
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Methods",
    "Server",
    "Connection",
    "Date",
    "X-Api-Version",
    "X-Request-Id",
    "X-Response-Time",
    "Content-Length",
)


CLIENTS = "\n".join(
    (own(extra="max_connections: 1024, "), own(name="other"), own(name="slow", extra="max_connections: 4, "))
)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRelay]:
    config = clients_config(CLIENTS, relay="max_body: 1KiB, max_header: 1KiB, request_timeout: 60s")
    with live(tmp_path_factory.mktemp("relay"), config) as started:
        yield started


@pytest.fixture(scope="module")
def impatient_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRelay]:
    config = clients_config(CLIENTS, relay="request_timeout: 1s")
    with live(tmp_path_factory.mktemp("impatient"), config) as started:
        yield started


def chunked(*pieces: bytes) -> bytes:
    head = b"POST /checks/123 HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(pieces)


P = b"POST /checks/123 HTTP/1.1\r\nContent-Type: application/json\r\n"
L = b"Content-Length: %d\r\n\r\n" % len(BODY)
CASES = {
    "no HTTP": (b"hello\r\n\r\n", 400, "InvalidHeader"),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "InvalidHeader"),
    "bare line feeds": (b"POST /checks/123 HTTP/1.1\n\n", 400, "InvalidHeader"),
    "folded header": (P + b"X-A: b\r\n c\r\n\r\n", 400, "InvalidHeader"),
    "blank before colon": (P + b"Content-Length : 0\r\n\r\n", 400, "InvalidHeader"),
    "NUL in header": (P + b"X-A: \0\r\n\r\n", 400, "InvalidHeader"),
    "negative length": (P + b"Content-Length: -1\r\n\r\n", 400, "InvalidHeader"),
    "signed length": (P + b"Content-Length: +5\r\n\r\n", 400, "InvalidHeader"),
    "hex length": (P + b"Content-Length: 0x5\r\n\r\n", 400, "InvalidHeader"),
    "empty length": (P + b"Content-Length:\r\n\r\n", 400, "InvalidHeader"),
    "conflicting lengths": (P + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "InvalidHeader"),
    "equal lengths twice": (P + b"Content-Length: %d\r\n" % len(BODY) + L + BODY, 202, None),
    "length and chunks": (P + b"Transfer-Encoding: chunked\r\n" + L + BODY, 400, "InvalidHeader"),
    "unknown coding": (P + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "UnknownError"),
    "chunked": (chunked(b"5\r\n", BODY[:5], b"\r\n%x;x=y\r\n" % len(BODY[5:]), BODY[5:], b"\r\n0\r\n\r\n"), 202, None),
    "chunked with trailer": (chunked(b"%x\r\n" % len(BODY), BODY, b"\r\n0\r\nX-T: 1\r\n\r\n"), 202, None),
    "bad chunk size": (chunked(b"zz\r\n"), 400, "InvalidHeader"),
    "negative chunk size": (chunked(b"-1\r\n"), 400, "InvalidHeader"),
    "endless chunk size": (chunked(b"0" * 2000), 400, "InvalidHeader"),
    "chunk longer than its size": (chunked(b"2\r\n", BODY, b"\r\n0\r\n\r\n"), 400, "InvalidHeader"),
    "chunks above the limit": (chunked(*[b"200\r\n" + b" " * 512 + b"\r\n"] * 3), 413, "RequestTooLarge"),
    "header above the limit": (P + b"X-A: " + b"a" * 2000 + b"\r\n\r\n", 431, "RequestTooLarge"),
    "endless header": (P + b"X-A: " + b"a" * 2000, 431, "RequestTooLarge"),
    "body above the limit": (P + b"Content-Length: 1025\r\n\r\n" + b" " * 1025, 413, "RequestTooLarge"),
    "length above every limit": (P + b"Content-Length: 99999999999999999\r\n\r\n", 413, "RequestTooLarge"),
    "body at the limit": (P + b"Content-Length: 1024\r\n\r\n" + BODY.ljust(1024), 202, None),
    "pipelined requests": (P + L + BODY + P + L + BODY, 202, None),
    "HTTP/1.0": (P.replace(b"HTTP/1.1", b"HTTP/1.0") + L + BODY, 202, None),
    "absolute form": (P.replace(b"/checks", b"http://localhost/checks") + L + BODY, 202, None),
    "unknown path": (b"GET / HTTP/1.1\r\n\r\n", 404, "ResourceNotFound"),
    "trailing slash": (P.replace(b"/123", b"/123/") + L + BODY, 404, "ResourceNotFound"),
    "encoded slash": (P.replace(b"/123", b"/a%2Fb") + L + BODY, 404, "ResourceNotFound"),
    "undecodable path": (P.replace(b"/123", b"/%ff") + L + BODY, 404, "ResourceNotFound"),
    "percent-encoded check": (P.replace(b"/123", b"/urn%3Afs%3Ausage") + L + BODY, 202, None),
    "unknown check": (P.replace(b"/123", b"/124") + L + BODY, 404, "ResourceNotFound"),
    "other method": (b"GET /checks/123 HTTP/1.1\r\n\r\n", 405, "UnknownError"),
    "unknown method": (b"BREW /checks/123 HTTP/1.1\r\n\r\n", 405, "UnknownError"),
    "options": (b"OPTIONS /checks/123 HTTP/1.1\r\n\r\n", 405, "UnknownError"),
    "form": (P.replace(b"application/json", b"application/x-www-form-urlencoded") + L + BODY, 415, "InvalidHeader"),
    "compressed": (P + b"Content-Encoding: gzip\r\n" + L + BODY, 415, "InvalidHeader"),
    "other charset": (P.replace(b"json", b"json; charset=latin-1") + L + BODY, 415, "InvalidHeader"),
    "same charset": (P.replace(b"application/json", b'Application/JSON;charset="UTF-8"') + L + BODY, 202, None),
    "known version": (P + b"X-Api-Version: 6.1.0\r\n" + L + BODY, 202, None),
    "unknown version": (P + b"X-Api-Version: 9\r\n" + L + BODY, 400, "InvalidHeader"),
    "two versions": (P + b"X-Api-Version: 6.1.0\r\nX-Api-Version: 6.1.0\r\n" + L + BODY, 400, "InvalidHeader"),
    "wrong digest": (P + b"Content-MD5: AAAA\r\n" + L + BODY, 400, "InvalidHeader"),
    "not JSON": (P + b"Content-Length: 1\r\n\r\n{", 400, "InvalidArgument"),
    "other client": (P + b"X-Relay-Client: other\r\n" + L + BODY, 403, "NotAuthorized"),
    "own name": (P + b"X-Relay-Client: agent\r\n" + L + BODY, 202, None),
    "bad relay path": (P + b"X-Relay-Path: a b\r\n" + L + BODY, 400, "InvalidHeader"),
    "loop": (P + b"X-Relay-Path: x, child\r\n" + L + BODY, 409, "InvalidArgument"),
    "nine relays": (P + b"X-Relay-Path: a,b,c,d,e,f,g,h,i\r\n" + L + BODY, 409, "InvalidArgument"),
    "bad relay time": (P + b"X-Relay-Time: soon\r\n" + L + BODY, 400, "InvalidHeader"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_answer_is_complete(relay: LiveRelay, name: str) -> None:
    """Whatever is sent, the answer has its documented status, code and the full header set, and nothing chunked."""
    raw, status, code = CASES[name]
    answer = exchange(relay.sock("agent"), raw)
    assert answer.status == status, answer.raw
    assert [header for header in HEADERS if header not in answer.headers] == []
    assert answer.headers["Connection"] == "close"
    assert not {"Via", "Vary", "Transfer-Encoding"} & set(answer.headers)
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    if code is None:
        assert answer.body == b""
        assert "Content-Type" not in answer.headers
    else:
        assert answer.json()["code"] == code
        assert answer.json()["message"]
        assert answer.body.isascii()
        assert answer.headers["Content-Type"] == "application/json"
        digest = base64.b64encode(hashlib.md5(answer.body).digest()).decode()
        assert answer.headers["Content-MD5"] == digest
    if status == 405:
        assert answer.headers["Allow"] == "POST"


def test_head_has_the_headers_of_the_error_without_its_body(relay: LiveRelay) -> None:
    """HEAD is not allowed on a check; the answer names the length of the body it leaves out."""
    answer = request(relay.sock("agent"), "HEAD", "/checks/123")
    assert (answer.status, answer.body) == (405, b"")
    assert int(answer.headers["Content-Length"]) > 0


def test_the_request_id_is_echoed_in_upper_case(relay: LiveRelay) -> None:
    """A UUID comes back, even with an error; anything else is replaced."""
    given = "350463bc-7f83-4e2d-8b0d-d3e515fb220d"
    assert (
        request(relay.sock("agent"), "GET", "/", headers={"X-Request-Id": given}).headers["X-Request-Id"]
        == given.upper()
    )
    assert request(relay.sock("agent"), "GET", "/", headers={"X-Request-Id": "7"}).headers["X-Request-Id"] != "7"


def test_non_ascii_text_comes_back_as_escapes(relay: LiveRelay) -> None:
    """The body's character count equals its length, as the original's clients expect."""
    answer = relay.post("agent", "%C3%A9t%C3%A9")
    assert answer.json()["message"] == "été is not a registered check"
    assert answer.body.isascii()


def test_continue_is_sent_before_the_body(relay: LiveRelay) -> None:
    """A client that waits for `100 Continue` gets it, then the answer."""
    with connect(relay.sock("agent")) as sock:
        sock.sendall(P + b"Expect: 100-continue\r\n" + L)
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(BODY)
        assert read_all(sock).startswith(b"HTTP/1.1 202 ")


def test_a_request_in_single_bytes_is_served(relay: LiveRelay) -> None:
    """However the bytes are cut, the request is the same."""
    with connect(relay.sock("agent")) as sock:
        for byte in P + L + BODY:
            sock.sendall(bytes([byte]))
        assert read_all(sock).startswith(b"HTTP/1.1 202 ")


def test_a_slow_request_is_closed_without_an_answer(impatient_relay: LiveRelay) -> None:
    """The request timeout runs from accept to the last byte of the body."""
    with connect(impatient_relay.sock("agent")) as sock:
        sock.sendall(P + L + BODY[:-1])
        assert read_all(sock) == b""


def test_two_thousand_idle_connections_do_not_hold_up_others(relay: LiveRelay) -> None:
    """Idle connections beyond the limit wait in the kernel; other sockets are served, and this one recovers."""
    with contextlib.ExitStack() as stack:
        refused = 0
        for _ in range(2000):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            sock.setblocking(False)
            refused += sock.connect_ex(relay.sock("agent")) != 0
        for _ in range(50):
            assert relay.post("other", "123").status == 202
        state = relay.admin("GET", "/state").json()["clients"]
        assert state["agent"]["connections"] <= 1024
    wait_until(lambda: relay.post("agent", "123").status == 202, "the flooded socket serves again")


def test_the_connection_limit_belongs_to_one_client(relay: LiveRelay) -> None:
    """Slow peers fill only their own client's limit; when they leave, the socket serves again."""
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connect(relay.sock("slow"))).sendall(b"POST")
        wait_until(
            lambda: relay.admin("GET", "/state").json()["clients"]["slow"]["connections"] == 4, "the limit is reached"
        )
        assert relay.post("other", "123").status == 202
    assert relay.post("slow", "123").status == 202


def test_slow_peers_make_room_when_the_timeout_ends_them(impatient_relay: LiveRelay) -> None:
    """The socket serves again, although none of them leaves by itself."""
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connect(impatient_relay.sock("slow"))).sendall(b"POST")
        wait_until(lambda: impatient_relay.post("slow", "123").status == 202, "there is room again")


def test_garbage_costs_only_its_own_socket(relay: LiveRelay) -> None:
    """A peer that floods without end is cut off; the others are served meanwhile."""
    with connect(relay.sock("slow")) as sock:
        with contextlib.suppress(OSError):
            for _ in range(600):
                sock.sendall(b"\xff" * 65536)
        assert relay.post("other", "123").status == 202
