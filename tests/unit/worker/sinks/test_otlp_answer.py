"""What a receiver says about a request that it took, or may take later."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from tests.support.protobuf_classes import RPC
from worker.sinks.batching import Rejection
from worker.sinks.otlp_answer import partial_success, retry_delay_secs


@pytest.mark.parametrize("words", ["", "too old", "ü" * 300])
def test_rejected_records_are_counted(words: str) -> None:
    """Points and log records stand in the same field."""
    points = ExportMetricsServiceResponse(partial_success={"rejected_data_points": 3, "error_message": words})
    records = ExportLogsServiceResponse(partial_success={"rejected_log_records": 3, "error_message": words})
    said = f": {words[:200]}" if words else ""
    for answer in (points, records):
        assert partial_success(answer.SerializeToString()) == Rejection(f"3 records rejected{said}", 3)


def test_a_warning_alone_rejects_nothing() -> None:
    """A message without a count is advice."""
    advice = ExportLogsServiceResponse(partial_success={"error_message": "slow down"})
    assert partial_success(advice.SerializeToString()) is None
    assert partial_success(b"") is None


@given(st.binary(max_size=40))
def test_any_answer_is_read(answer: bytes) -> None:
    """Garbage says nothing, and never fails."""
    partial_success(answer)
    retry_delay_secs(answer)


def status_of(*details: Any) -> bytes:
    """A status as receivers send it in `grpc-status-details-bin`."""
    packed = [{"type_url": f"type.googleapis.com/google.rpc.{kind}", "value": value} for kind, value in details]
    return bytes(RPC["Status"](code=14, message="busy", details=packed).SerializeToString())


@pytest.mark.parametrize(
    ("delay", "secs"),
    [({"seconds": 3}, 3.0), ({"nanos": 250_000_000}, 0.25), ({"seconds": 1, "nanos": 5}, 1.000000005)],
)
def test_a_receiver_says_when_to_come_back(delay: dict[str, int], secs: float) -> None:
    """Among other details."""
    info = RPC["RetryInfo"](retry_delay=delay).SerializeToString()
    assert retry_delay_secs(status_of(("DebugInfo", b"\x0a\x00"), ("RetryInfo", info))) == secs


def test_a_receiver_that_does_not_say_has_said_nothing() -> None:
    """No details, others, or none that can be read; an empty delay is one."""
    assert retry_delay_secs(status_of()) is None
    assert retry_delay_secs(status_of(("DebugInfo", b""))) is None
    assert retry_delay_secs(b"\xff") is None
    assert retry_delay_secs(status_of(("RetryInfo", b""))) == 0.0
