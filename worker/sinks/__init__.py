"""Sinks: bytes to a destination, one protocol per module, built through one table. Run in a worker.

A sink retries nothing and counts nothing: policy and counters live in `worker/delivery/direct.py`, buffers of requests
in `worker/delivery/batched.py`. It keeps nothing back either: what `write` has accepted is with the operating system,
so a user sees lines at once and a counter is never ahead of its file. Waiting goes through `worker/control/waiting.py`,
so that a stop always reaches the worker.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from common.plan import EntryPlan
from common.specs import (
    File,
    HttpPush,
    Kafka,
    Loki,
    Memory,
    OtlpGrpc,
    OtlpHttp,
    RemoteWriteSink,
    Spec,
    Stdout,
    Tcp,
    Udp,
)
from worker.sinks import file, http_push, loki, memory, otlp_http, stdout, tcp, udp
from worker.sinks.batching import Batching, Piece, Rejection
from worker.sinks.context import SinkContext
from worker.ticks.batch import Encoded


class Sink(Protocol):
    """One destination of one entry."""

    def open(self) -> None:
        """Open the destination.

        Raises:
            SinkOpenError: it cannot be opened; the message is what `last_sink_error` shows.
        """
        ...

    def write(self, encoded: Encoded) -> None:
        """Deliver the events, in order.

        Raises:
            SinkError: not all were delivered; `delivered_bytes` says how many bytes, always whole events, were.
        """
        ...

    def close(self) -> None:
        """Release the destination; safe twice and before `open`."""
        ...


class RequestSink(Protocol):
    """One destination of one entry that takes requests of many events; `worker/delivery/batched.py` gathers them.

    Attributes:
        batching: what makes a request.
    """

    batching: Batching

    def open(self) -> None:
        """Open the destination.

        Raises:
            SinkOpenError: it cannot be opened; the message is what `last_sink_error` shows.
        """
        ...

    def request(self, pieces: Sequence[Piece]) -> Any:
        """Return the request that holds all events of `pieces`, in order.

        Raises:
            SinkError: no request can hold them.
        """
        ...

    def send(self, request: Any) -> Rejection | None:
        """Deliver a request; return what the destination refused of it for good.

        Raises:
            SinkError: it was not delivered.
        """
        ...

    def close(self) -> None:
        """Release the destination; safe twice and before `open`."""
        ...


@runtime_checkable
class PipelinedSink(RequestSink, Protocol):
    """A `RequestSink` that may have several requests in flight: any events make a request, and only whole ones.

    Attributes:
        max_in_flight: how many.
    """

    max_in_flight: int

    def begin(self, request: Any) -> Any:
        """Send a request without waiting for its answer; return what `end` takes."""
        ...

    def end(self, flight: Any) -> Rejection | None:
        """Wait for the answer to a request; return what the destination refused of it for good.

        Raises:
            SinkError: it was not delivered. The same request, begun again, is what is left of it.
        """
        ...


@runtime_checkable
class LabelledSink(RequestSink, Protocol):
    """A `RequestSink` whose requests have labels of their own, beside those in the events."""

    def relabel(self, plan: EntryPlan) -> None:
        """Take the labels of `plan` from now on."""
        ...


def _imported(module: str) -> Callable[[Any, SinkContext], Any]:
    """Return the builder of a sink that needs an extra, whose module is imported only where the sink is used."""

    def build(spec: Any, context: SinkContext) -> Any:
        return importlib.import_module(f"worker.sinks.{module}").build(spec, context)

    build.__module__ = f"worker.sinks.{module}"
    return build


BUILDERS: Final[dict[type[Spec], Callable[[Any, SinkContext], Sink]]] = {
    Stdout: stdout.build,
    File: file.build,
    Tcp: tcp.build,
    Udp: udp.build,
    Memory: memory.build,
}
"""Specification type to `build(spec, context)`, of sinks that take every batch at once; building contacts nothing."""

REQUESTERS: Final[dict[type[Spec], Callable[[Any, SinkContext], RequestSink]]] = {
    HttpPush: http_push.build,
    Loki: loki.build,
    RemoteWriteSink: _imported("remote_write"),
    OtlpGrpc: _imported("otlp_grpc"),
    OtlpHttp: otlp_http.build,
    Kafka: _imported("kafka"),
}
"""The same of sinks that send requests."""
