"""The otlp_grpc sink: OpenTelemetry records in unary calls, as bytes that gRPC passes on.

The library waits in threads of its own; a call's end rings a bell that the worker waits for, so that a stop ends the
wait. It is imported in the worker that uses it alone: its threads do not survive a fork.

Source: opentelemetry.io/docs/specs/otlp, section OTLP/gRPC; docs/sinks.md, "OpenTelemetry".
"""

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from common.errors import SinkError, SinkOpenError
from common.specs import OtlpGrpc
from common.units import duration_or_zero_us, nanoseconds
from common.urls import shown_url
from worker.control.waiting import Waiter
from worker.sinks.batching import Batching, Piece, Rejection
from worker.sinks.context import SinkContext
from worker.sinks.http_requests import REQUEST_SECS
from worker.sinks.otlp_export import Exports, partial_success
from worker.sinks.resolve import CONNECT_SECS

_METHODS: Final = {
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_PORT: Final = 4317
_RETRIABLE: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
)
_OPTIONS: Final = (
    # A channel of our own: nobody else of this process speaks gRPC, and nothing is shared beyond it.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
)


class OtlpGrpcSink:
    """Exports to one receiver.

    Attributes:
        batching: what makes a request.
    """

    def __init__(self, spec: OtlpGrpc, context: SinkContext) -> None:
        self.batching = Batching(spec.batch_size, "records", nanoseconds(duration_or_zero_us(spec.max_buffer_age)))
        self._spec = spec
        self._endpoint = shown_url(spec.endpoint)
        self._waiter = context.waiter
        self._exports = Exports(context.plan)
        self._channel: grpc.Channel | None = None
        self._call: Any = None
        self._bell = _Bell(context.waiter)

    def open(self) -> None:
        """Connect.

        Raises:
            SinkOpenError: the endpoint is no URL, or takes no connection within ten seconds.
        """
        scheme, target = self._target()
        self._channel = (
            grpc.secure_channel(target, grpc.ssl_channel_credentials(), options=_OPTIONS)
            if scheme == "https"
            else grpc.insecure_channel(target, options=_OPTIONS)
        )
        self._call = self._channel.unary_unary(_METHODS[self._spec.signal_type])
        ready = grpc.channel_ready_future(self._channel)
        try:
            if not self._bell.rings_within(CONNECT_SECS, ready.add_done_callback):
                raise SinkOpenError(
                    f"otlp grpc sink: failed to connect to '{self._endpoint}': no connection within"
                    f" {CONNECT_SECS:.0f} s"
                )
        finally:
            ready.cancel()

    def _target(self) -> tuple[str, str]:
        """Return scheme and address of the endpoint.

        Raises:
            SinkOpenError: it is no URL of a host.
        """
        parts = urlsplit(self._spec.endpoint)
        try:
            port = parts.port or _PORT
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or not port:
            raise SinkOpenError(
                f"otlp grpc sink: invalid endpoint '{self._endpoint}': must be http://HOST:PORT or https://HOST:PORT"
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return parts.scheme, f"{host}:{port}"

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the export request of all records of `pieces`."""
        return self._exports.request(pieces)

    def send(self, request: bytes) -> Rejection | None:
        """Make one call; what the receiver refused of it is returned.

        Raises:
            SinkError: it was not taken.
        """
        failed = f"otlp grpc sink: gRPC call to '{self._endpoint}' failed"
        if self._waiter.given_up:
            raise SinkError(f"{failed}: the scenario's time to stop is over")
        call = self._call.future(request, timeout=REQUEST_SECS)
        if not self._bell.rings_within(REQUEST_SECS + 1, call.add_done_callback):
            call.cancel()
            raise SinkError(f"{failed}: no answer before the scenario had to stop")
        code = call.code()
        if code is grpc.StatusCode.OK:
            return partial_success(call.result())
        raise SinkError(f"{failed}: {code.name}: {call.details()}", retriable=code in _RETRIABLE)

    def close(self) -> None:
        """Close the connection; safe twice and before `open`."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._bell.close()


class _Bell:
    """Wakes the worker when something of the library's threads is done."""

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def rings_within(self, secs: float, when_done: Callable[[Callable[[Any], None]], None]) -> bool:
        """Return whether what calls its argument when it is done does so in time."""
        # One bell for each wait: what is given up may still ring its own.
        self.close()
        heard, rung = self._ends = socket.socketpair()
        when_done(lambda _: _ring(rung))
        return self._waiter.until_readable(heard.fileno(), secs)

    def close(self) -> None:
        """Release the bell; safe twice."""
        for end in self._ends or ():
            end.close()
        self._ends = None


def _ring(bell: socket.socket) -> None:
    # Nobody waits for what was given up.
    with suppress(OSError):
        bell.send(b"!")


def build(spec: OtlpGrpc, context: SinkContext) -> OtlpGrpcSink:
    """Return the sink of `spec`."""
    return OtlpGrpcSink(spec, context)
