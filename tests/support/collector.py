"""A gRPC server with the export services of OpenTelemetry, which behaves as a test tells it to."""

import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

_REQUESTS = {
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": ExportMetricsServiceRequest,
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": ExportLogsServiceRequest,
}

Outcome = grpc.StatusCode | tuple[grpc.StatusCode, bytes] | bytes


class Collector:
    """Serves until closed.

    Args:
        behaviour: what becomes of call number n, counted from 0: an error, with details or not, or an answer.

    Attributes:
        kept: the requests that were answered, in order, as bytes.
        calls: how many have arrived.
        most_in_flight: how many have waited for their answers at a time.
        released: set to let calls go on that `silent` holds.
    """

    def __init__(
        self, behaviour: Callable[[int], Outcome] = lambda _: b"", *, silent: bool = False, delay_secs: float = 0.0
    ) -> None:
        self.kept: list[bytes] = []
        self.released = threading.Event()
        self._behaviour = behaviour
        self._silent = silent
        self._delay_secs = delay_secs
        self._lock = threading.Lock()
        self._in_flight = 0
        self.most_in_flight = 0
        self.calls = 0
        self._server = grpc.server(futures.ThreadPoolExecutor(8), handlers=[self])  # type: ignore[list-item]
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._server.start()

    def service(self, call: Any) -> Any:
        request = _REQUESTS[call.method]

        def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
            with self._lock:
                number, self.calls = self.calls, self.calls + 1
                self._in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self._in_flight)
            try:
                return decided(number, body, context)
            finally:
                with self._lock:
                    self._in_flight -= 1

        def decided(number: int, body: bytes, context: grpc.ServicerContext) -> bytes:
            if self._silent:
                self.released.wait(60)
            time.sleep(self._delay_secs)
            outcome = self._behaviour(number)
            if isinstance(outcome, tuple):
                outcome, details = outcome
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            if isinstance(outcome, grpc.StatusCode):
                context.abort(outcome, "as told")
                raise AssertionError
            request.FromString(body)
            self.kept.append(body)
            return outcome

        return grpc.unary_unary_rpc_method_handler(answer)

    def close(self) -> None:
        """End all connections."""
        self.released.set()
        self._server.stop(0).wait(30)

    def __enter__(self) -> "Collector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
