"""The HTTP server over real sockets, with a small application behind it."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from supervisor.http.request_body import ByteBudget
from supervisor.http.server import HttpServer
from supervisor.http.waitress_parts import Server, WaitressSettings
from tests.support.http_server import PlainReception, RawConnection
from tests.support.polling import wait_until

Environ = dict[str, Any]


class Application:
    """Answers 200 with the path; control routes first wait for `gate`."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.waiting = threading.Semaphore(0)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/scenarios") and not environ["PATH_INFO"].endswith("/stats"):
            self.waiting.release()
            assert self.gate.wait(20)
        body = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}".encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def listener() -> socket.socket:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    return bound


@pytest.fixture
def port(application: Application, listener: socket.socket) -> Iterator[int]:
    address: int = listener.getsockname()[1]
    server = HttpServer(
        application, listener, PlainReception(), control_threads=4, observe_threads=2, max_body_bytes=1000
    )
    server.start()
    yield address
    application.gate.set()
    server.close(5)


def test_observation_is_served_while_every_control_thread_waits(application: Application, port: int) -> None:
    """With all control threads taken and more requests queued, stats and health answer at once."""
    stuck = [RawConnection(port) for _ in range(8)]
    for connection in stuck:
        connection.send(b"DELETE /scenarios/x HTTP/1.1\r\nHost: h\r\n\r\n")
    for _ in range(4):
        assert application.waiting.acquire(timeout=20)
    with RawConnection(port) as observer:
        assert observer.ask("GET /health HTTP/1.1").body == b"GET /health"
        assert observer.ask("GET /scenarios/x/stats HTTP/1.1").status == 200
    assert not application.waiting.acquire(blocking=False)
    application.gate.set()
    for connection in stuck:
        assert connection.receive().body == b"DELETE /scenarios/x"
        connection.close()


def test_pipelined_requests_are_answered_in_order_whatever_pool_serves_them(
    application: Application, port: int
) -> None:
    """Requests sent at once on one connection get their answers in the same order."""
    application.gate.set()
    with RawConnection(port) as connection:
        paths = ["/scenarios", "/health", "/scenarios/a", "/scenarios/a/stats"] * 5
        connection.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode() for path in paths))
        assert [connection.receive().body.decode() for _ in paths] == [f"GET {path}" for path in paths]


def test_a_request_that_is_no_http_gets_400_and_the_connection_ends(port: int) -> None:
    """Garbage is answered by the HTTP layer; the server lives on."""
    for garbage in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nno colon here\r\n\r\n"):
        with RawConnection(port) as connection:
            connection.send(garbage)
            assert connection.receive().status == 400
            assert connection.at_end()
    with RawConnection(port) as connection:
        assert connection.ask("GET /health HTTP/1.1").status == 200


def test_headers_have_a_bound(port: int) -> None:
    """Endless headers get 431 before they have arrived."""
    with RawConnection(port) as connection:
        connection.send(b"GET /health HTTP/1.1\r\nX: " + b"x" * 70_000)
        assert connection.receive().status == 431


def test_no_server_banner_is_sent(port: int) -> None:
    """Answers do not tell what serves them."""
    with RawConnection(port) as connection:
        assert "server" not in connection.ask("GET /health HTTP/1.1").headers


def test_closing_lets_a_request_in_flight_be_answered(application: Application, listener: socket.socket) -> None:
    """Once closing has begun nobody new gets in, and who is being served gets the whole answer."""
    port = listener.getsockname()[1]
    server = HttpServer(
        application, listener, PlainReception(), control_threads=1, observe_threads=1, max_body_bytes=1000
    )
    server.start()
    idle = RawConnection(port)
    assert idle.ask("GET /health HTTP/1.1").status == 200
    served = RawConnection(port)
    served.send(b"DELETE /scenarios/x HTTP/1.1\r\nHost: h\r\n\r\n")
    assert application.waiting.acquire(timeout=20)
    server.stop_accepting()
    wait_until(lambda: _is_refused(port), "the server accepts no connections")
    threading.Timer(0.2, application.gate.set).start()
    server.close(10)
    assert served.receive().body == b"DELETE /scenarios/x"
    assert served.at_end()
    assert idle.at_end()
    served.close()
    idle.close()


def test_closing_does_not_wait_for_ever(application: Application, listener: socket.socket) -> None:
    """A request that never ends, and a client that never reads, delay the end by no more than the time given."""
    port = listener.getsockname()[1]
    server = HttpServer(
        application, listener, PlainReception(), control_threads=1, observe_threads=1, max_body_bytes=1000
    )
    server.start()
    stuck = RawConnection(port)
    stuck.send(b"DELETE /scenarios/x HTTP/1.1\r\nHost: h\r\n\r\n")
    assert application.waiting.acquire(timeout=20)
    server.close(0.2)
    assert stuck.at_end()
    stuck.close()
    application.gate.set()
    server.close(10)


def test_nothing_is_left_after_closing(application: Application) -> None:
    """Descriptors and threads are those of before, however often a server is started and closed."""
    application.gate.set()

    def cycle() -> None:
        bound = socket.create_server(("127.0.0.1", 0))
        server = HttpServer(
            application, bound, PlainReception(), control_threads=3, observe_threads=2, max_body_bytes=1000
        )
        server.start()
        with RawConnection(bound.getsockname()[1]) as connection:
            assert connection.ask("GET /health HTTP/1.1").status == 200
            server.close(10)

    cycle()
    threads = threading.active_count()
    with socket.socket() as probe:
        lowest_free = probe.fileno()
    for _ in range(20):
        cycle()
    with socket.socket() as probe:
        assert probe.fileno() == lowest_free
    wait_until(lambda: threading.active_count() <= threads, "the threads have ended")


def _is_refused(port: int) -> bool:
    try:
        RawConnection(port).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # It was in the backlog when the listening socket closed.
        return False
    return False


def test_many_clients_that_come_at_once_are_accepted_in_a_few_turns() -> None:
    """A turn looks at every connection, so one turn for each would make the last of them wait for long."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener, ExitStack() as clients:
        settings = WaitressSettings(listener, PlainReception(), ByteBudget(1000), 1000)
        server = Server(Application(), listener, settings, None)
        for _ in range(150):
            clients.enter_context(socket.create_connection(listener.getsockname()))
        for _ in range(4):
            server.turn(0)
        assert len(server.channels) == 150
        for channel in server.channels:
            channel.handle_close()
        server.stop_accepting()
        server.release()
