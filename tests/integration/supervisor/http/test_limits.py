"""What a client may send, keep open and leave unread, and what that costs others."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from supervisor.http import connections
from supervisor.http.request_body import DRAINED_BYTES
from supervisor.http.routes import Serves
from supervisor.http.server import HttpServer
from tests.support.http_server import PlainReception, RawConnection
from tests.support.polling import wait_until

Environ = dict[str, Any]

LIMIT = 1000
LONG = 64 * 1024 * 1024


class Application:
    """Answers with the length that the body is said to have and the length that it has.

    `/empty` gets 204, `/large` a long answer, and control routes wait for `gate`.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.served: list[str] = []

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.served.append(path)
        if PlainReception().serves(path) is Serves.CONTROL:
            assert self.gate.wait(20)
        if path == "/empty":
            start_response("204 No Content", [])
            return []
        body = b"x" * LONG if path == "/large" else self._lengths(environ)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    @staticmethod
    def _lengths(environ: Environ) -> bytes:
        return f"{environ.get('CONTENT_LENGTH', 'none')} {len(environ['wsgi.input'].read())}".encode()


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def port(application: Application) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    address: int = listener.getsockname()[1]
    server = HttpServer(
        application, listener, PlainReception(LIMIT), control_threads=2, observe_threads=2, max_body_bytes=LIMIT
    )
    server.start()
    yield address
    application.gate.set()
    server.close(5)


def chunks(*sizes: int) -> bytes:
    """The body of chunks of these sizes, without its end."""
    return b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for size in sizes)


@pytest.mark.parametrize(
    ("path", "size", "lengths"),
    [
        ("/scenarios", LIMIT, f"{LIMIT} {LIMIT}"),
        ("/scenarios", LIMIT + 1, f"{LIMIT + 1} {LIMIT}"),
        ("/scenarios", LIMIT + DRAINED_BYTES, f"{LIMIT + DRAINED_BYTES} {LIMIT}"),
        ("/health", DRAINED_BYTES + 5000, f"{DRAINED_BYTES + 5000} 0"),
        ("/scenarios/x/stats", 5000, "5000 0"),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_of_a_body_no_more_is_kept_than_its_route_may_have(
    port: int, path: str, size: int, lengths: str, chunked: bool
) -> None:
    """The rest is dropped while it comes; the length is known nevertheless, and the connection serves on."""
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\n"
    with RawConnection(port) as connection:
        if chunked:
            connection.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks(size) + b"0\r\n\r\n")
        else:
            connection.send(f"{head}Content-Length: {size}\r\n\r\n".encode() + b"x" * size)
        assert connection.receive().body.decode() == lengths
        assert connection.ask("GET /health HTTP/1.1").body == b"none 0"


def test_a_body_far_above_the_limit_is_answered_before_it_has_come(port: int) -> None:
    """The application is asked at once, and the connection ends, for nobody reads on; chunked or not."""
    size = LIMIT + DRAINED_BYTES + 1
    with RawConnection(port) as connection:
        connection.send(f"POST /scenarios HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n".encode())
        answer = connection.receive()
        assert (answer.body.decode(), answer.headers["connection"]) == (f"{size} 0", "close")
        assert connection.at_end()
    with RawConnection(port) as connection:
        connection.send(b"POST /scenarios HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(size))
        said, had = connection.receive().body.split()
        assert LIMIT + DRAINED_BYTES < int(said) <= size
        assert int(had) == 0


def test_a_client_that_asks_before_it_sends_is_spared_the_sending(port: int) -> None:
    """With `Expect: 100-continue` a body above the limit is answered instead of continued."""
    head = "POST /scenarios HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
    with RawConnection(port) as connection:
        connection.send(f"{head}Content-Length: {LIMIT + 1}\r\n\r\n".encode())
        assert connection.receive().body.decode() == f"{LIMIT + 1} 0"
        assert connection.at_end()
    with RawConnection(port) as connection:
        connection.send(f"{head}Content-Length: {LIMIT}\r\n\r\n".encode())
        assert connection.receive().status == 100
        connection.send(b"x" * LIMIT)
        assert connection.receive().body.decode() == f"{LIMIT} {LIMIT}"


@pytest.mark.parametrize("endless", [b"0" * 5000, b"5;" + b"x" * 5000, b"0\r\n" + b"X: y\r\n" * 1000])
@pytest.mark.parametrize("path", ["/health", "/scenarios"])
def test_what_frames_a_chunk_has_a_bound(port: int, path: str, endless: bytes) -> None:
    """Sizes, extensions and trailers without end are a bad request."""
    with RawConnection(port) as connection:
        connection.send(f"POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + endless)
        assert connection.receive().status == 400
        assert connection.at_end()


def test_an_empty_answer_keeps_the_connection(port: int) -> None:
    """204 has no length, and needs none to be followed by another answer."""
    with RawConnection(port) as connection:
        for _ in range(3):
            answer = connection.ask("GET /empty HTTP/1.1")
            assert answer.status == 204
            assert not {"connection", "content-length", "transfer-encoding"} & set(answer.headers)
        assert connection.ask("GET /empty HTTP/1.1\nConnection: close").headers["connection"] == "close"
        assert connection.at_end()
    with RawConnection(port) as connection:
        connection.send(b"GET /empty HTTP/1.0\r\n\r\n")
        assert connection.receive().status == 204
        assert connection.at_end()


def test_a_client_that_does_not_read_holds_up_nobody(application: Application, port: int) -> None:
    """However many answers it has asked for: one is made, the next when that has left, and others are served."""
    with RawConnection(port) as lazy, RawConnection(port) as other:
        lazy.send(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n" * 4)
        wait_until(lambda: "/large" in application.served, "the first answer is made")
        for _ in range(20):
            assert other.ask("GET /metrics HTTP/1.1").status == 200
        assert application.served.count("/large") == 1
        for _ in range(4):
            assert len(lazy.receive().body) == LONG
        assert application.served.count("/large") == 4
        assert lazy.ask("GET /empty HTTP/1.1").status == 204


def test_a_new_connection_takes_the_place_of_the_longest_idle(
    application: Application, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half requests count as idle, a request that is being served does not."""
    monkeypatch.setattr(connections, "IDLE_LIMIT", 6)
    monkeypatch.setattr(connections, "SPARED_SECS", 0.0)
    application.gate.clear()
    with ExitStack() as stack:
        idle = [stack.enter_context(RawConnection(port)) for _ in range(3)]
        for connection in idle:
            assert connection.ask("GET /health HTTP/1.1").status == 200
        idle[1].send(b"GET /health HTTP/1.1\r\nHalf: ")
        busy = [stack.enter_context(RawConnection(port)) for _ in range(3)]
        for connection in busy:
            connection.send(b"DELETE /scenarios/x HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_until(lambda: application.served.count("/scenarios/x") == 2, "as many as may are being served")
        assert idle[2].ask("GET /health HTTP/1.1").status == 200
        for gone in (idle[0], idle[1], idle[2]):
            newest = stack.enter_context(RawConnection(port))
            assert newest.ask("GET /health HTTP/1.1").status == 200
            assert gone.at_end()
        application.gate.set()
        for connection in busy:
            assert connection.receive().status == 200


def test_any_number_of_waiting_control_calls_leaves_room(
    application: Application, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody has been idle for long nobody is sent away, and the probes are served beside all that wait."""
    monkeypatch.setattr(connections, "IDLE_LIMIT", 6)
    monkeypatch.setattr(connections, "SPARED_SECS", 3600.0)
    application.gate.clear()
    with ExitStack() as stack:
        waiting = [stack.enter_context(RawConnection(port)) for _ in range(20)]
        for connection in waiting:
            connection.send(b"DELETE /scenarios/x HTTP/1.1\r\nHost: h\r\n\r\n")
        for path in ("/health", "/ready", "/scenarios/x/stats"):
            with RawConnection(port) as probe:
                assert probe.ask(f"GET {path} HTTP/1.1").status == 200
        assert application.served.count("/scenarios/x") == 2
        application.gate.set()
        for connection in waiting:
            assert connection.receive().status == 200


def test_idle_connections_are_closed_after_a_while(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Maintenance closes those without traffic, and no other."""
    clock, later_secs = time.time, 0
    monkeypatch.setattr(time, "time", lambda: clock() + later_secs)

    def old_is_closed_when_time_goes_by() -> bool:
        nonlocal later_secs
        later_secs += 130
        with RawConnection(port) as young:
            for _ in range(2):
                assert young.ask("GET /health HTTP/1.1").status == 200
        return old.has_arrived()

    with RawConnection(port) as old:
        assert old.ask("GET /health HTTP/1.1").status == 200
        wait_until(old_is_closed_when_time_goes_by, "the connection without traffic is closed")
        assert old.at_end()
