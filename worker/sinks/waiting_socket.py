"""A connection for HTTP requests that a stop can interrupt: its calls wait through the worker's waiter."""

import io
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Final, TypeVar

from common.http_answer import received_stream
from worker.control.waiting import Waiter

_T = TypeVar("_T")

_RECEIVE_BYTES: Final = 16 * 1024

_BLOCKS_FOR: Final = struct.pack("ll", 0, 5000)
"""Seconds and microseconds for which a call may block, where the waiter lets it."""

_NOT_YET: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_MAX_ANSWER_BYTES: Final = 256 * 1024
"""What is received behind one request; an answer that goes on for longer has no end."""


class EndlessAnswerError(HTTPException):
    """The peer sends interim answers, fields or chunks without end."""


class WaitingSocket:
    """One connection, with what a request needs of a socket.

    Args:
        connection: connected; owned from here on.
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
        # PERF: one call that blocks for an answer takes half the time of a wait and a call.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _BLOCKS_FOR)
        connection.setblocking(True)
        self._at_once = socket.MSG_DONTWAIT

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on.

        Raises:
            OSError: the handshake failed, or the certificate is not one of `host`.
        """
        self._connection.setblocking(False)
        self._at_once = socket.MsgFlag(0)
        secure = context.wrap_socket(self._connection, server_hostname=host, do_handshake_on_connect=False)
        self._connection = secure
        self._patiently(secure.do_handshake, self._waiter.until_readable)

    def send(self, parts: Sequence[bytes | memoryview], size: int) -> None:
        """Send the parts of a request, `size` bytes; what is received from here on answers it.

        Raises:
            OSError: the connection broke, or did not take them in time.
        """
        self._received_bytes = 0
        connection = self._connection
        if isinstance(connection, ssl.SSLSocket):
            rest = memoryview(b"".join(parts))
            while rest:
                rest = rest[self._patiently(lambda: connection.send(rest), self._waiter.until_writable) :]  # noqa: B023
            return
        # PERF: one call and one packet for all of a small request, so that a receiver is woken once; nothing is copied.
        try:
            sent = connection.sendmsg(parts, (), self._at_once)
        except BlockingIOError:
            sent = 0
        while sent < size:
            parts, size = _behind(parts, sent), size - sent
            sent = self._patiently(
                lambda: connection.sendmsg(parts, (), self._at_once),  # noqa: B023
                self._waiter.until_writable,
            )

    def receive(self) -> bytes:
        """Return what comes first, at least a byte; nothing at the end.

        Raises:
            OSError: the connection broke, or nothing came in time.
        """
        try:
            received = self._connection.recv(_RECEIVE_BYTES, 0 if self._waiter.may_block() else self._at_once)
        except _NOT_YET as exc:
            self._wait(exc, self._waiter.until_readable)
            received = self._patiently(
                lambda: self._connection.recv(_RECEIVE_BYTES, self._at_once), self._waiter.until_readable
            )
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
        count = self._patiently(
            lambda: self._connection.recv_into(buffer, 0, self._at_once), self._waiter.until_readable
        )
        self._received_bytes += count
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a buffered reader of what is received, for `http.client`."""
        return received_stream(self)

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
            except _NOT_YET as exc:
                self._wait(exc, ready)

    def _wait(self, error: OSError, ready: Callable[[int, float], bool]) -> None:
        if isinstance(error, ssl.SSLWantReadError):
            ready = self._waiter.until_readable
        elif isinstance(error, ssl.SSLWantWriteError):
            ready = self._waiter.until_writable
        if not ready(self._connection.fileno(), self.until - time.monotonic()):
            raise TimeoutError


def _behind(parts: Sequence[bytes | memoryview], sent: int) -> Sequence[bytes | memoryview]:
    """Return what is left of parts of which so many bytes were sent."""
    for index, part in enumerate(parts):
        if sent < len(part):
            return (memoryview(part)[sent:], *parts[index + 1 :])
        sent -= len(part)
    return ()
