"""The tcp sink: one connection, no framing.

Source: docs/sinks.md, "Sinks that write at once", "Trying again" and "How to see it".
"""

import errno
import os
import socket
from contextlib import suppress
from typing import Final

from common.errors import SinkError, SinkOpenError
from common.specs import Tcp
from worker.control.waiting import Waiter
from worker.sinks.connect import connect
from worker.sinks.context import SinkContext
from worker.sinks.resolve import reason
from worker.ticks.batch import Encoded

_DRAIN_BYTES: Final = 65_536


class TcpSink:
    """A connection for the scenario's life; with a `retry` block a broken one is made again, otherwise it stays broken.

    After a failure the connection is closed at once: bytes sent on it could only continue a torn line.
    """

    def __init__(self, address: str, *, reconnects: bool, waiter: Waiter) -> None:
        self._address = address
        self._reconnects = reconnects
        self._waiter = waiter
        self._socket: socket.socket | None = None
        self._broken = ""

    def open(self) -> None:
        """Connect, trying every address of the host.

        Raises:
            SinkOpenError: with the address and the reason of the last attempt.
        """
        try:
            self._socket = connect(self._address, self._waiter)
        except OSError as exc:
            raise SinkOpenError(f"TCP connect to {self._address}: {reason(exc)}") from exc

    def write(self, encoded: Encoded) -> None:
        """Send the events, waiting for a slow peer.

        Raises:
            SinkError: the connection broke, is broken, or cannot be made again.
        """
        if self._socket is None:
            self._reconnect()
        assert self._socket is not None  # noqa: S101 - connected, or the line above raised
        payload = memoryview(encoded.payload)
        sent = 0
        try:
            while sent < len(payload):
                try:
                    sent += self._socket.send(payload[sent:])
                except BlockingIOError:
                    if not self._waiter.until_writable(self._socket.fileno()):
                        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
        except OSError as exc:
            self.close()
            self._broken = f"TCP write to {self._address}: {reason(exc)}"
            raise SinkError(self._broken, retriable=True, delivered_bytes=encoded.whole(sent)) from exc

    def close(self) -> None:
        """Close in order, so that the peer gets all that was sent."""
        if self._socket is None:
            return
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            # Closing with unread bytes resets the connection, and a reset may overtake what the peer has not read yet.
            while self._socket.recv(_DRAIN_BYTES):
                pass
        self._socket.close()
        self._socket = None

    def _reconnect(self) -> None:
        if not self._reconnects:
            raise SinkError(self._broken)
        try:
            self._socket = connect(self._address, self._waiter)
        except OSError as exc:
            raise SinkError(f"TCP reconnect to {self._address}: {reason(exc)}", retriable=True) from exc


def build(spec: Tcp, context: SinkContext) -> TcpSink:
    """Return the sink of `spec`."""
    return TcpSink(spec.address, reconnects=spec.retry is not None, waiter=context.waiter)
