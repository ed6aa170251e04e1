"""A connection for HTTP requests that a stop can interrupt: its calls wait through the worker's waiter."""

import io
import select
import socket
import ssl
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Final, TypeVar

from worker.control.waiting import Waiter

_T = TypeVar("_T")

_RECEIVE_BYTES: Final = 16 * 1024
_MAX_ANSWER_BYTES: Final = 256 * 1024
"""What is received behind one request; an answer that goes on for longer has no end."""


class EndlessAnswerError(HTTPException):
    """The peer sends interim answers, fields or chunks without end."""


class WaitingSocket:
    """One connection, with what a request needs of a socket.

    Args:
        connection: connected and non-blocking; owned from here on.
        waiter: all waiting.

    Attributes:
        until: when waits end with a TimeoutError, on the clock of `time.monotonic`.
    """

    def __init__(self, connection: socket.socket, waiter: Waiter) -> None:
        self.until = 0.0
        self._connection = connection
        self._waiter = waiter
        self._received_bytes = 0
        self._put_back = b""
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on.

        Raises:
            OSError: the handshake failed, or the certificate is not one of `host`.
        """
        secure = context.wrap_socket(self._connection, server_hostname=host, do_handshake_on_connect=False)
        self._connection = secure
        self._patiently(secure.do_handshake, self._waiter.until_readable)

    def send(self, head: bytes, body: bytes) -> None:
        """Send head and body of a request; what is received from here on answers it.

        Raises:
            OSError: the connection broke, or did not take them in time.
        """
        self._received_bytes = 0
        if isinstance(self._connection, ssl.SSLSocket):
            rest = memoryview(head + body)
        else:
            # PERF: one call and one packet for both; a receiver is woken once.
            try:
                sent = self._connection.sendmsg((head, body))
            except BlockingIOError:
                sent = 0
            if sent == len(head) + len(body):
                return
            rest = memoryview(body)[sent - len(head) :] if sent >= len(head) else memoryview(head[sent:] + body)
        while rest:
            rest = rest[self._patiently(lambda: self._connection.send(rest), self._waiter.until_writable) :]  # noqa: B023

    def receive(self) -> bytes:
        """Return what comes first, at least a byte; nothing at the end.

        Raises:
            OSError: the connection broke, or nothing came in time.
        """
        if not isinstance(self._connection, ssl.SSLSocket):
            # PERF: an answer is never there yet.
            self._wait(self._waiter.until_readable)
        received = self._patiently(lambda: self._connection.recv(_RECEIVE_BYTES), self._waiter.until_readable)
        self._received_bytes += len(received)
        return received

    def put_back(self, received: bytes) -> None:
        """Let `recv_into` give `received` once more, before what comes next."""
        self._put_back = received

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Receive what is there, at least one byte; 0 at the end.

        A peer that always has something to send must not keep the worker: stop and deadline are looked at every time.

        Raises:
            OSError: the connection broke, nothing came in time, or the time is over.
            EndlessAnswerError: more has come than an answer has.
        """
        if self._put_back:
            count = min(len(buffer), len(self._put_back))
            buffer[:count], self._put_back = self._put_back[:count], self._put_back[count:]
            return count
        self._waiter.look()
        if self._waiter.given_up or time.monotonic() >= self.until:
            raise TimeoutError
        if self._received_bytes > _MAX_ANSWER_BYTES:
            raise EndlessAnswerError
        count = self._patiently(lambda: self._connection.recv_into(buffer), self._waiter.until_readable)
        self._received_bytes += count
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a buffered reader of what is received, for `http.client`."""
        return io.BufferedReader(_Incoming(self))

    def is_quiet(self) -> bool:
        """Return whether the peer has neither closed the connection nor sent anything unasked."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _patiently(self, call: Callable[[], _T], ready: Callable[[int, float], bool]) -> _T:
        """Return the result of `call`, which waits for what `ready` tells unless TLS says otherwise."""
        while True:
            try:
                return call()
            except BlockingIOError:
                wait = ready
            except ssl.SSLWantReadError:
                wait = self._waiter.until_readable
            except ssl.SSLWantWriteError:
                wait = self._waiter.until_writable
            self._wait(wait)

    def _wait(self, ready: Callable[[int, float], bool]) -> None:
        if not ready(self._connection.fileno(), self.until - time.monotonic()):
            raise TimeoutError


class _Incoming(io.RawIOBase):
    """The receiving side of a connection as a raw stream; closing it leaves the connection open."""

    def __init__(self, connection: WaitingSocket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the buffer that BufferedReader passes
        return self._connection.recv_into(buffer)
