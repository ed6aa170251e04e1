"""What a receiver says about a request that it took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from worker.sinks.batching import Rejection
from worker.sinks.otlp_export import partial_success


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
