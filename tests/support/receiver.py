"""An HTTP receiver on loopback that behaves as a test tells it to, also badly."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

MAX_HEAD_BYTES = 65536
# On close: send RST at once, drop what is unsent.
ABORT = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Request:
    """One request as it arrived; `connection` counts the connections, from 0."""

    number: int
    connection: int
    line: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What becomes of a request.

    Attributes:
        status: of the answer.
        body: of the answer.
        headers: extra header lines.
        raw: sent instead of all that.
        delay_secs: wait before the answer.
        then: what happens to the connection behind the answer.
        reads_body: whether the request's body is read at all; without it the connection ends at once.
        reads_half: half of the body is read, then the connection is reset.
        silent: nothing is sent, the connection stays open until the receiver is closed.
    """

    status: int = 204
    body: bytes = b""
    headers: tuple[str, ...] = ()
    raw: bytes | None = None
    delay_secs: float = 0.0
    then: str = "keep"  # or "close", "reset" instead of an answer, "cut" right behind one
    reads_body: bool = True
    reads_half: bool = False
    silent: bool = False


Behaviour = Callable[[int], Answer]


def _accept_all(_number: int) -> Answer:
    return Answer()


class Receiver:
    """Serves until closed, every connection in a thread.

    Args:
        behaviour: the answer to request number n, counted from 0 over all connections.
        host: where to listen.
        says: the further headers of an answer 2xx, by the body of its request.

    Attributes:
        requests: all requests whose body was read, in order.
        ended_count: how many connections it has closed.
        kept: bodies that were acknowledged with 2xx, in order.
        most_in_flight: how many requests have waited for their answers at a time.
    """

    def __init__(
        self,
        behaviour: Behaviour = _accept_all,
        host: str = "127.0.0.1",
        says: Callable[[bytes], Sequence[str]] = lambda _: (),
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._behaviour = behaviour
        self._says = says
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._connections: list[socket.socket] = []
        self._numbers = 0
        self._in_flight = 0
        self.most_in_flight = 0
        self.ended_count = 0
        self.requests: list[Request] = []
        self.kept: list[bytes] = []
        port = self._listener.getsockname()[1]
        self.url = f"http://[{host}]:{port}" if family == socket.AF_INET6 else f"http://{host}:{port}"
        self.port: int = port
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def connection_count(self) -> int:
        """How many connections were accepted."""
        return len(self._connections)

    def close(self) -> None:
        """End all connections and threads."""
        self._closing.set()
        for sock in (self._listener, *self._connections):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, len(self._connections) - 1))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, index: int) -> None:
        with connection:
            with suppress(OSError):
                while self._one_request(connection, index):
                    pass
        with self._lock:
            self.ended_count += 1

    def _one_request(self, connection: socket.socket, index: int) -> bool:
        """Read and answer one request; False when the connection is over."""
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(65536)
            if not received:
                return False
            head += received
            assert len(head) < MAX_HEAD_BYTES + 65536
        head, _, body = head.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in fields)}
        with self._lock:
            number = self._numbers
            self._numbers += 1
        answer = self._behaviour(number)
        if not answer.reads_body:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            return False
        left = int(headers["content-length"]) - len(body)
        if answer.reads_half:
            while left > int(headers["content-length"]) // 2:
                left -= len(connection.recv(4096))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            return False
        parts = [body]
        while left > 0:
            received = connection.recv(min(left, 1 << 20))
            if not received:
                return False
            parts.append(received)
            left -= len(received)
        request = Request(number, index, line, headers, b"".join(parts))
        with self._lock:
            self.requests.append(request)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            return self._answer(connection, request, answer)
        finally:
            with self._lock:
                self._in_flight -= 1

    def _answer(self, connection: socket.socket, request: Request, answer: Answer) -> bool:
        if answer.silent:
            self._closing.wait()
            return False
        if answer.delay_secs:
            time.sleep(answer.delay_secs)
        if answer.then == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            return False
        if answer.raw is not None:
            connection.sendall(answer.raw)
            return answer.then == "keep"
        lines = [f"HTTP/1.1 {answer.status} X", f"Content-Length: {len(answer.body)}", *answer.headers]
        if 200 <= answer.status < 300:
            lines += self._says(request.body)
            with self._lock:
                self.kept.append(request.body)
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + answer.body)
        if answer.then == "cut":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        return answer.then == "keep"
