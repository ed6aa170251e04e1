"""Messages of OpenTelemetry: known bytes, and messages that the project's own generated classes read."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from common.errors import EncoderError
from common.plan import ReplayRows
from common.specs import OtlpEncoder, OtlpGrpc, OtlpHttp, PrometheusText, Spec
from tests.support.entries import rotating_labels, static_labels
from tests.support.plans import entry_plan
from tests.support.protobuf_classes import frames_of
from worker import encoders, generators
from worker.ticks.batch import Batch, Encoded

STAMP_NS = 1731587696789123456
HALT = ReplayRows(severities=b"\4", messages=("halt",), fields={"code": ("7",)}, repeat=True)


def points(values: list[float], stamps_ns: list[int], **fields: object) -> Encoded:
    plan = entry_plan(name="fan_rpm", encoder=OtlpEncoder(), **fields)
    return encoders.build(plan).encode(Batch(0, np.array(values), np.array(stamps_ns)))


def test_a_known_point() -> None:
    """A gauge whatever the metric is, its attributes behind the value."""
    assert points([2.5], [STAMP_NS], labels={"bay": "2"}).payload.hex() == (
        "2b0000000a0766616e5f72706d2a200a1e1980718dfcd5d507182100000000000004403a0a0a0362617912030a0132"
    )


def test_a_known_log_record() -> None:
    """Severity by number and name, the message as body, labels before fields."""
    plan = entry_plan(signal_type="logs", generator=HALT, labels={"bay": "2"}, encoder=OtlpEncoder())
    batch = Batch(0, generators.build(plan).values(0, 1), np.array([STAMP_NS]))
    assert encoders.build(plan).encode(batch).payload.hex() == (
        "330000000980718dfcd5d5071810111a054552524f522a060a0468616c74320a0a0362617912030a0132320b0a04636f646512030a0137"
    )


def test_an_empty_message_is_there() -> None:
    """A body that says nothing is still a body."""
    empty = ReplayRows(severities=b"\0", messages=("",), fields={}, repeat=True)
    plan = entry_plan(signal_type="logs", generator=empty, encoder=OtlpEncoder())
    (frame,) = frames_of(
        encoders.build(plan).encode(Batch(0, np.zeros((1, 1), np.int32), np.array([STAMP_NS]))).payload
    )
    assert frame.endswith(bytes.fromhex("2a020a00"))
    assert LogRecord.FromString(frame).severity_text == "TRACE"


@given(
    values=st.lists(st.floats() | st.sampled_from([0.0, -0.0, float("nan")]), min_size=1, max_size=40),
    first_ns=st.sampled_from([0, 1, STAMP_NS, 2**62]),
    period_ns=st.sampled_from([0, 1, 10**9]),
    static=static_labels,
    rotating=rotating_labels,
)
def test_every_bit_of_a_point_is_read(
    values: list[float], first_ns: int, period_ns: int, static: dict[str, str], rotating: list[object]
) -> None:
    """Values with the sign of zero, stamps to the nanosecond, attributes in order."""
    stamps = [first_ns + k * period_ns for k in range(len(values))]
    made = points(values, stamps, labels=static, dynamic_labels=rotating)
    frames = frames_of(made.payload)
    assert made.record_ends().tolist() == np.cumsum([len(frame) + 4 for frame in frames]).tolist()
    for frame, value, stamp_ns in zip(frames, values, stamps, strict=True):
        metric = Metric.FromString(frame)
        (point,) = metric.gauge.data_points
        assert (metric.name, point.time_unix_nano) == ("fan_rpm", stamp_ns)
        assert point.HasField("as_double")
        assert struct.pack("<d", point.as_double) == struct.pack("<d", value)
        keys = [attribute.key for attribute in point.attributes]
        assert keys == sorted(keys)
        assert set(keys) >= set(static)


@pytest.mark.parametrize("signal", ["metrics", "logs"])
def test_a_stamp_before_the_epoch_is_refused(signal: str) -> None:
    """As by every encoder."""
    fields = {"signal_type": "logs", "generator": HALT} if signal == "logs" else {}
    plan = entry_plan(encoder=OtlpEncoder(), **fields)
    with pytest.raises(EncoderError, match="timestamp before Unix epoch"):
        encoders.build(plan).encode(Batch(0, np.zeros((1, 1), np.int32), np.array([-1])))


@pytest.mark.parametrize(
    "sink", [OtlpHttp(url="http://h", signal_type="logs"), OtlpGrpc(endpoint="h", signal_type="logs")]
)
@pytest.mark.parametrize("encoder", [OtlpEncoder(), PrometheusText()])
def test_what_a_sink_would_misread_is_refused(sink: Spec, encoder: Spec) -> None:
    """Points to a sink of logs, or lines to one of messages."""
    plan = entry_plan(name="up", encoder=encoder, sink=sink)
    with pytest.raises(EncoderError, match="LogRecord"):
        encoders.build(plan).encode(Batch(0, np.array([1.0]), np.array([STAMP_NS])))
