"""The tcp sink: one connection, no framing.

Source: docs/sinks.md, "Sinks that write at once", "Trying again" and "How to see it".
"""

import errno
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import numpy as np

from common.errors import SinkError, SinkOpenError
from common.specs import Tcp
from common.urls import shown_url
from worker.control.waiting import Waiter
from worker.sinks.connect import connect
from worker.sinks.context import SinkContext
from worker.sinks.resolve import reason
from worker.sinks.unconfirmed import Unconfirmed
from worker.ticks.batch import Encoded

_DRAIN_BYTES: Final = 65_536
_ENDED: Final = "the peer has closed the connection"


class TcpSink:
    """A connection for the scenario's life; with a `retry` block a broken one is made again, otherwise it stays broken.

    After a failure the connection is closed at once: bytes sent on it could only continue a torn line. What the peer's
    system has not confirmed by then is in doubt.
    """

    def __init__(self, address: str, *, reconnects: bool, waiter: Waiter, doubt: Callable[[int], None]) -> None:
        self._address = address
        self._shown = shown_url(address)
        self._reconnects = reconnects
        self._waiter = waiter
        self._doubt = doubt
        self._unconfirmed: Unconfirmed | None = None
        self._socket: socket.socket | None = None
        self._poll = select.poll()
        self._broken = ""

    def open(self) -> None:
        """Connect, trying every address of the host.

        Raises:
            SinkOpenError: with the address and the reason of the last attempt.
        """
        try:
            self._connect()
        except OSError as exc:
            raise SinkOpenError(f"TCP connect to {self._shown}: {reason(exc)}") from exc

    def write(self, encoded: Encoded) -> None:
        """Send the events, waiting for a slow peer.

        Raises:
            SinkError: the connection broke, is broken, or cannot be made again.
        """
        if self._socket is None:
            self._reconnect()
        assert self._socket is not None  # noqa: S101 - connected, or the line above raised
        assert self._unconfirmed is not None  # noqa: S101 - of that connection
        if self._poll.poll(0) and (cause := self._end()):
            self._break(cause)
            raise SinkError(self._broken, retriable=True)
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
            delivered = encoded.whole(sent)
            self._unconfirmed.wrote(delivered, int(np.searchsorted(encoded.ends(), delivered, side="right")))
            self._break(reason(exc))
            raise SinkError(self._broken, retriable=True, delivered_bytes=delivered) from exc
        self._unconfirmed.wrote(sent, encoded.events)

    def close(self) -> None:
        """Close in order, so that the peer gets all that was sent."""
        if self._socket is None:
            return
        if self._poll.poll(0) and self._end():
            self._count_doubts()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            # Closing with unread bytes resets the connection, and a reset may overtake what the peer has not read yet.
            while self._socket.recv(_DRAIN_BYTES):
                pass
        self._socket.close()
        self._socket = None

    def _connect(self) -> None:
        self._socket = connect(self._address, self._waiter)
        self._unconfirmed = Unconfirmed(self._socket)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def _end(self) -> str | None:
        """Return how the peer has ended the connection; None while it has not. What it says meanwhile is dropped.

        The first write behind the end of a stream succeeds, and reaches nobody.
        """
        assert self._socket is not None  # noqa: S101 - polled
        try:
            while self._socket.recv(_DRAIN_BYTES):
                pass
        except BlockingIOError:
            return None
        except OSError as exc:
            return reason(exc)
        return _ENDED

    def _count_doubts(self) -> None:
        if self._unconfirmed is not None:
            with suppress(OSError):
                self._doubt(self._unconfirmed.events())
            self._unconfirmed = None

    def _break(self, cause: str) -> None:
        self._count_doubts()
        self.close()
        self._broken = f"TCP write to {self._shown}: {cause}"

    def _reconnect(self) -> None:
        if not self._reconnects:
            raise SinkError(self._broken)
        try:
            self._connect()
        except OSError as exc:
            raise SinkError(f"TCP reconnect to {self._shown}: {reason(exc)}", retriable=True) from exc


def build(spec: Tcp, context: SinkContext) -> TcpSink:
    """Return the sink of `spec`."""
    return TcpSink(spec.address, reconnects=spec.retry is not None, waiter=context.waiter, doubt=context.doubt)
