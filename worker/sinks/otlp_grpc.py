"""The otlp_grpc sink: OpenTelemetry records in unary calls, as bytes that gRPC passes on.

The library is imported in the worker that uses it alone: its threads do not survive a fork.

Source: opentelemetry.io/docs/specs/otlp, section OTLP/gRPC; docs/sinks.md, "OpenTelemetry".
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from common.errors import SinkError, SinkOpenError
from common.plan import EntryPlan
from common.specs import OtlpGrpc
from common.units import duration_or_zero_us, nanoseconds
from common.urls import shown_url
from worker.sinks.batching import Batching, Piece, Rejection
from worker.sinks.connect import connect
from worker.sinks.context import SinkContext
from worker.sinks.grpc_calls import UnaryCalls
from worker.sinks.http_causes import cause_of
from worker.sinks.http_requests import REQUEST_SECS
from worker.sinks.otlp_answer import partial_success, retry_delay_secs
from worker.sinks.otlp_export import Exports

_METHODS: Final = {
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_PORT: Final = 4317
_RETRIABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""What may pass, and RESOURCE_EXHAUSTED when the receiver says after what time. Source: OTLP, "Failures"."""

_STATUS_DETAILS: Final = "grpc-status-details-bin"
_UNANSWERED: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
"""What the library says itself when no answer comes; a receiver may say so too, and is believed to be in doubt."""

_NOT_CONNECTED: Final = "failed to connect"
"""How the library's words begin when nothing was sent."""

_OPTIONS: Final = (
    # A channel of our own: nobody else of this process speaks gRPC, and nothing is shared beyond it.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    # A receiver that is back is found soon: two minutes, as by default, would be minutes of losses.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
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
        self.relabel(context.plan)
        self._calls: UnaryCalls | None = None

    def relabel(self, plan: EntryPlan) -> None:
        """Export for the resource of `plan` from now on."""
        self._exports = Exports(plan)

    def open(self) -> None:
        """Prepare calls, and see that somebody takes connections: the library makes its own with the first call.

        Raises:
            SinkOpenError: the endpoint is no URL, or takes no connection within ten seconds.
        """
        scheme, target = self._target()
        try:
            connect(target, self._waiter).close()
        except OSError as exc:
            raise SinkOpenError(f"otlp grpc sink: failed to connect to '{self._endpoint}': {cause_of(exc)}") from exc
        channel = (
            grpc.secure_channel(target, grpc.ssl_channel_credentials(), options=_OPTIONS)
            if scheme == "https"
            else grpc.insecure_channel(target, options=_OPTIONS)
        )
        self._calls = UnaryCalls(channel, _METHODS[self._spec.signal_type], self._waiter)

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
        assert self._calls is not None  # noqa: S101 - open comes first
        outcome = self._calls.make(request, REQUEST_SECS)
        if outcome is None:
            raise SinkError(f"{failed}: no answer before the scenario had to stop", in_doubt=True)
        answer, call = outcome
        code = call.code()
        if code is grpc.StatusCode.OK:
            return partial_success(answer)
        details = call.details() or ""
        delay_secs = _retry_delay_secs(call)
        raise SinkError(
            f"{failed}: {code.name}: {details}",
            retriable=code in _RETRIABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay_secs is not None),
            retry_after_secs=delay_secs or 0.0,
            in_doubt=code in _UNANSWERED and not details.startswith(_NOT_CONNECTED),
        )

    def close(self) -> None:
        """Close the connection; safe twice and before `open`."""
        if self._calls is not None:
            self._calls.close()
            self._calls = None


def _retry_delay_secs(call: Any) -> float | None:
    """Return how long the receiver asks to be left alone; None when it does not ask."""
    for key, value in call.trailing_metadata() or ():
        if key == _STATUS_DETAILS:
            return retry_delay_secs(value)
    return None


def build(spec: OtlpGrpc, context: SinkContext) -> OtlpGrpcSink:
    """Return the sink of `spec`."""
    return OtlpGrpcSink(spec, context)
