"""OTLP over gRPC and HTTP from real workers: every record once, what is refused counted, stops kept."""

import contextlib
import gzip

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from common.errors import SinkError, SinkOpenError
from common.plan import EntryPlan
from common.specs import OtlpEncoder, OtlpGrpc, OtlpHttp, Retry, SinkSpec, Step
from tests.support.collector import Collector
from tests.support.faulty_proxy import Fault, FaultyProxy
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.protobuf_classes import RPC
from tests.support.receiver import Answer, Receiver
from tests.support.station import Station
from tests.support.worker_process import worker_processes
from worker.sinks import RequestSink

RETRY = Retry(max_attempts=50, initial_backoff="1ms", max_backoff="5ms")
PARTIAL = ExportMetricsServiceResponse(partial_success={"rejected_data_points": 2, "error_message": "too old"})


def counting(sink: SinkSpec) -> EntryPlan:
    return entry_plan(
        name="ticks", rate=4000.0, generator=Step(step_size=1.0), encoder=OtlpEncoder(), labels={"a": "b"}, sink=sink
    )


def values_in(bodies: list[bytes]) -> list[int]:
    """The values of all points, in the order of their arrival."""
    return [
        int(metric.gauge.data_points[0].as_double)
        for body in bodies
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def run(plan: EntryPlan, secs: float = 1.0) -> tuple[int, int, int]:
    """Let a worker run for a while; returns its events, errors and rejected events."""
    with worker_processes() as (worker,):
        worker.start(plan)
        wait_until(lambda: worker.counters().total_events > 4000 * secs, "events")
        worker.stop()
        assert worker.finished().reason == "stopped"
        assert worker.ended() == 0
        counters = worker.counters()
        return counters.total_events, counters.errors, counters.rejected_events


def test_grpc_retries_lose_and_repeat_nothing() -> None:
    """Every third call fails; all points arrive once, in order."""
    with Collector(lambda number: grpc.StatusCode.UNAVAILABLE if number % 3 == 1 else b"") as collector:
        spec = OtlpGrpc(endpoint=collector.endpoint, signal_type="metrics", batch_size=200, retry=RETRY)
        events, errors, rejected = run(counting(spec))
        assert (errors, rejected) == (0, 0)
        assert values_in(collector.kept) == list(range(events))


def test_http_takes_gzip_and_counts_what_is_refused() -> None:
    """Every request is taken, two points of each refused: they are counted, and no failure."""
    with Receiver(lambda _: Answer(200, PARTIAL.SerializeToString())) as receiver:
        spec = OtlpHttp(url=receiver.url, signal_type="metrics", batch_size=200, compression="gzip")
        events, errors, rejected = run(counting(spec))
        requests = receiver.requests
        assert requests[0].line == "POST /v1/metrics HTTP/1.1"
        assert requests[0].headers["content-type"] == "application/x-protobuf"
        assert requests[0].headers["content-encoding"] == "gzip"
        assert values_in([gzip.decompress(body) for body in receiver.kept]) == list(range(events))
        assert errors == 0
        assert 2 * (len(requests) - 1) <= rejected <= 2 * len(requests)


@pytest.mark.parametrize(
    ("code", "retriable"),
    [
        (grpc.StatusCode.UNAVAILABLE, True),
        (grpc.StatusCode.DEADLINE_EXCEEDED, True),
        (grpc.StatusCode.CANCELLED, True),
        (grpc.StatusCode.ABORTED, True),
        (grpc.StatusCode.OUT_OF_RANGE, True),
        (grpc.StatusCode.DATA_LOSS, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, False),
        (grpc.StatusCode.INVALID_ARGUMENT, False),
        (grpc.StatusCode.UNAUTHENTICATED, False),
        (grpc.StatusCode.INTERNAL, False),
    ],
)
def test_a_status_says_whether_it_may_pass(station: Station, code: grpc.StatusCode, retriable: bool) -> None:
    """The text names the status and the receiver's words."""
    with Collector(lambda _: code) as collector:
        sink = station.request_sink(counting(OtlpGrpc(endpoint=collector.endpoint, signal_type="metrics")))
        sink.open()
        with pytest.raises(SinkError) as caught:
            sink.send(b"")
        sink.close()
        failed = f"otlp grpc sink: gRPC call to '{collector.endpoint}' failed: {code.name}: as told"
        assert (str(caught.value), caught.value.retriable) == (failed, retriable)


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_a_receiver_is_left_alone_as_long_as_it_asks(station: Station, code: grpc.StatusCode) -> None:
    """Its status has a delay among its details; with one, an exhausted receiver recovers."""
    info = RPC["RetryInfo"](retry_delay={"seconds": 2}).SerializeToString()
    detail = {"type_url": "type.googleapis.com/google.rpc.RetryInfo", "value": info}
    status = RPC["Status"](details=[detail]).SerializeToString()
    with Collector(lambda _: (code, status)) as collector:
        sink = station.request_sink(counting(OtlpGrpc(endpoint=collector.endpoint, signal_type="metrics")))
        sink.open()
        with pytest.raises(SinkError) as caught:
            sink.send(b"")
        sink.close()
        assert (caught.value.retriable, caught.value.retry_after_secs) == (True, 2.0)


@pytest.mark.parametrize(
    ("status", "retriable"),
    [(429, True), (500, False), (501, False), (502, True), (503, True), (504, True), (302, False)],
)
def test_a_status_of_http_says_so_too(station: Station, status: int, retriable: bool) -> None:
    """Those that the specification lists, and how long the receiver wants to be left alone."""
    with Receiver(lambda _: Answer(status, headers=("Retry-After: 7",))) as receiver:
        sink = station.request_sink(counting(OtlpHttp(url=receiver.url, signal_type="metrics")))
        sink.open()
        with pytest.raises(SinkError, match=f"HTTP {status} from '{receiver.url}/v1/metrics'") as caught:
            sink.send(b"")
        sink.close()
        assert (caught.value.retriable, caught.value.retry_after_secs) == (retriable, 7.0)


@pytest.mark.parametrize("endpoint", ["localhost:4317", "ftp://h:1", "http://", "http://h:port"])
def test_what_is_no_endpoint_is_refused(station: Station, endpoint: str) -> None:
    """Before anything is contacted."""
    sink = station.request_sink(counting(OtlpGrpc(endpoint=endpoint, signal_type="metrics")))
    with pytest.raises(SinkOpenError, match="otlp grpc sink: invalid endpoint '"):
        sink.open()
    sink.close()


class CutAtFirst(FaultyProxy):
    """Cuts the first connection on which anything is sent before it is passed on."""

    cuts = 1

    def _fault(self) -> Fault | None:
        self.cuts -= 1
        return "before" if self.cuts >= 0 else None


def test_a_connection_that_is_lost_at_once_is_made_again(station: Station) -> None:
    """As a receiver that restarts does, at the very first call; many times, for every step may be the last one."""
    with Collector() as collector:
        for seed in range(12):
            with CutAtFirst(collector.port, 0.0, seed) as proxy:
                spec = OtlpGrpc(endpoint=f"http://127.0.0.1:{proxy.port}", signal_type="metrics")
                sink = station.request_sink(counting(spec))
                sink.open()

                def is_answered(sink: RequestSink = sink) -> bool:
                    with contextlib.suppress(SinkError):
                        return sink.send(b"") is None
                    return False

                wait_until(is_answered, "a call is answered")
                sink.close()
        assert collector.kept == [b""] * 12


def test_nobody_there_is_said_before_the_stop(station: Station) -> None:
    """The wait for a connection ends with the time of a stop."""
    with Collector() as collector:
        endpoint = collector.endpoint
    sink = station.request_sink(counting(OtlpGrpc(endpoint=endpoint, signal_type="metrics")))
    station.stop(3.0)
    with pytest.raises(SinkOpenError, match=f"otlp grpc sink: failed to connect to '{endpoint}': Connection refused"):
        sink.open()
    sink.close()


def test_a_silent_receiver_holds_no_worker_beyond_its_stop() -> None:
    """The process leaves within the window of its stop, and by itself, though a call of the library hangs."""
    with Collector(silent=True) as collector, worker_processes() as (worker,):
        worker.start(counting(OtlpGrpc(endpoint=collector.endpoint, signal_type="metrics", batch_size=100)))
        wait_until(lambda: collector.calls, "a call that hangs")
        worker.stop(2.0)
        worker.finished()
        assert worker.ended() == 0
        assert "stop" in str(worker.counters().last_sink_error)
