"""The udp sink: one datagram a record, from an unconnected socket, so that a closed port is no error.

Source: docs/sinks.md, "Sinks that write at once" and "How to see it".
"""

import socket
from typing import Any, Final

from common.errors import SinkError, SinkOpenError, os_error_text
from common.specs import Udp
from common.urls import shown_url
from worker.control.waiting import Waiter
from worker.sinks.context import SinkContext
from worker.sinks.resolve import reason, resolve
from worker.ticks.batch import Encoded

MAX_DATAGRAM_BYTES: Final = 65_507
"""Largest UDP payload over IPv4: 65 535 minus the 20 and 8 bytes of the headers."""


class UdpSink:
    """Datagrams to the first address of the host."""

    def __init__(self, address: str, waiter: Waiter) -> None:
        self._address = address
        self._shown = shown_url(address)
        self._waiter = waiter
        self._socket: socket.socket | None = None
        self._target: Any = None
        self._target_text = ""

    def open(self) -> None:
        """Resolve the address once and bind a port of our own.

        Raises:
            SinkOpenError: with the address and the reason.
        """
        try:
            addresses = resolve(self._address, socket.SOCK_DGRAM, self._waiter)
        except OSError as exc:
            raise SinkOpenError(f"UDP address resolution error for {self._shown}: {reason(exc)}") from exc
        if not addresses:
            raise SinkOpenError(f"UDP address {self._shown} resolved to no addresses")
        family, kind, protocol, _, self._target = addresses[0]
        host, port = self._target[:2]
        self._target_text = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
        self._socket = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        try:
            self._socket.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", 0))  # noqa: S104 - to send from
        except OSError as exc:
            raise SinkOpenError(f"UDP bind for {self._shown}: {os_error_text(exc)}") from exc

    def write(self, encoded: Encoded) -> None:
        """Send one datagram a record; an event of several records is lost as a whole.

        Raises:
            SinkError: an event is too large or was refused; the ones after it may be tried.
        """
        assert self._socket is not None  # noqa: S101 - opened before the first tick
        send, target = self._socket.sendto, self._target
        payload = memoryview(encoded.payload)
        start = 0
        for end in encoded.record_ends().tolist():
            if end - start > MAX_DATAGRAM_BYTES:
                raise SinkError(
                    f"UDP datagram size {end - start} exceeds maximum {MAX_DATAGRAM_BYTES}"
                    f" for target {self._target_text}",
                    delivered_bytes=encoded.whole(start),
                    one_event=True,
                )
            try:
                try:
                    send(payload[start:end], target)
                except BlockingIOError:
                    self._waiter.until_writable(self._socket.fileno())
                    send(payload[start:end], target)
            except OSError as exc:
                raise SinkError(
                    f"UDP send_to {self._target_text}: {os_error_text(exc)}",
                    delivered_bytes=encoded.whole(start),
                    one_event=True,
                ) from exc
            start = end

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def build(spec: Udp, context: SinkContext) -> UdpSink:
    """Return the sink of `spec`."""
    return UdpSink(spec.address, context.waiter)
