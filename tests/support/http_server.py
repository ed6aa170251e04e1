"""Bare sockets against an HTTP server, for what client libraries hide: pipelining, keep-alive, half requests."""

import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from supervisor.http.request_body import DRAINED_BYTES
from supervisor.http.routes import Serves


class PlainReception:
    """Decides by the path alone: /scenarios and what is right below it are control routes that take bodies."""

    def __init__(self, max_body_bytes: int = 1000) -> None:
        self._max_body_bytes = max_body_bytes

    def serves(self, path: str) -> Serves:
        segments = path.split("/")
        if segments[1:2] == ["scenarios"] and len(segments) <= 3:
            return Serves.CONTROL
        return Serves.PROBE if path in ("/health", "/ready") else Serves.READ

    def threads(self, method: str, path: str) -> Serves:
        return self.serves(path)

    def kept_bytes(self, method: str, path: str, header: Callable[[str], str | None], body_bytes: int) -> int:
        is_kept = self.serves(path) is Serves.CONTROL and body_bytes <= self._max_body_bytes + DRAINED_BYTES
        return self._max_body_bytes if is_kept else 0


@dataclass(frozen=True)
class RawAnswer:
    """One answer as it came; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawConnection:
    """One TCP connection to 127.0.0.1."""

    def __init__(self, port: int, timeout_secs: float = 60) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_secs)
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def send(self, payload: bytes) -> None:
        self._socket.sendall(payload)

    def ask(self, head: str, body: bytes = b"") -> RawAnswer:
        """Send one request; `head` is its first line and headers, without Host and Content-Length."""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        lines = "".join(f"{line}\r\n" for line in head.splitlines())
        self.send(f"{lines}Host: localhost\r\n{length}\r\n".encode("latin-1") + body)
        return self.receive(head.startswith("HEAD "))

    def receive(self, without_body: bool = False) -> RawAnswer:
        """Receive one answer.

        Raises:
            EOFError: the server closed the connection first.
        """
        first = self._stream.readline()
        if not first:
            raise EOFError("the server closed the connection")
        headers = {}
        while (line := self._stream.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if without_body else int(headers.get("content-length", 0))
        return RawAnswer(int(first.split()[1]), headers, self._stream.read(length))

    def has_arrived(self) -> bool:
        """Return whether an answer, or the end, is there to be received."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(0))

    def at_end(self) -> bool:
        """Wait for the server to close, or to reset what was still to be read; whether it did without sending more."""
        try:
            return self._stream.read(1) == b""
        except ConnectionResetError:
            return True
