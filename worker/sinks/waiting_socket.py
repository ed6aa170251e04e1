"""A socket for HTTP clients that a stop can interrupt: its calls wait through the worker's waiter."""

import io
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from worker.control.waiting import Waiter

_T = TypeVar("_T")


class WaitingSocket:
    """One connection, with the methods of a socket that `http.client` calls.

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

    def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on.

        Raises:
            OSError: the handshake failed, or the certificate is not one of `host`.
        """
        secure = context.wrap_socket(self._connection, server_hostname=host, do_handshake_on_connect=False)
        self._connection = secure
        self._patiently(secure.do_handshake, self._waiter.until_readable)

    def sendall(self, data: bytes) -> None:
        """Send everything."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._patiently(lambda: self._connection.send(rest), self._waiter.until_writable) :]  # noqa: B023

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Receive what is there, at least one byte; 0 at the end."""
        return self._patiently(lambda: self._connection.recv_into(buffer), self._waiter.until_readable)

    def cork(self, *, on: bool) -> None:
        """Hold back what is not a full packet, or let it go: so that writes leave together."""
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a buffered reader of what is received."""
        return io.BufferedReader(_Incoming(self))

    def is_quiet(self) -> bool:
        """Return whether the peer has neither closed the connection nor sent anything unasked."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return not poll.poll(0)

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
            if not wait(self._connection.fileno(), self.until - time.monotonic()):
                raise TimeoutError


class _Incoming(io.RawIOBase):
    """The receiving side of a connection as a raw stream; closing it leaves the connection open."""

    def __init__(self, connection: WaitingSocket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the buffer that BufferedReader passes
        return self._connection.recv_into(buffer)
