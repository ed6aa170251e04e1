"""Time series of remote write: known bytes, bytes that Google's runtime reads, and the bits of every value."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import EncoderError
from common.specs import InfluxLp, PrometheusText, RemoteWriteEncoder, RemoteWriteSink
from tests.support.entries import rotating_labels, static_labels
from tests.support.plans import entry_plan
from tests.support.protobuf_classes import PROMETHEUS, frames_of
from worker import encoders
from worker.encoders.protobuf import varint, with_lengths
from worker.gates.closing import STALE_MARKER
from worker.ticks.batch import Batch, Encoded

STAMP_NS = 1731587696789123456


def encoded(values: list[float], stamps_ns: list[int], **fields: object) -> Encoded:
    plan = entry_plan(name="fan_rpm", encoder=RemoteWriteEncoder(), **fields)
    return encoders.build(plan).encode(Batch(0, np.array(values), np.array(stamps_ns)))


@pytest.mark.parametrize(
    ("value", "labels", "record"),
    [
        (
            2.5,
            {"Bay": "2", "unit": "rpm"},
            (
                "3e0000000a080a034261791201320a130a085f5f6e616d655f5f120766616e5f72706d0a0b0a04756e6974120372706d"
                "12100900000000000004401095d1add5b232"
            ),
        ),
        (0.0, {}, "1e0000000a130a085f5f6e616d655f5f120766616e5f72706d12071095d1add5b232"),
        (-0.0, {}, "1e0000000a130a085f5f6e616d655f5f120766616e5f72706d12071095d1add5b232"),
    ],
)
def test_known_records(value: float, labels: dict[str, str], record: str) -> None:
    """Upper-case names before `__name__`, others behind it; a value of zero has no field."""
    assert encoded([value], [STAMP_NS], labels=labels).payload.hex() == record


@given(
    values=st.lists(
        st.floats() | st.sampled_from([0.0, -0.0, float("nan"), float("inf"), STALE_MARKER]), min_size=1, max_size=40
    ),
    first_ns=st.sampled_from([0, 126_999_999, 16_383_000_000, 2**35 * 10**6 - 5, STAMP_NS, 2**62]),
    period_ns=st.sampled_from([0, 1, 400_000, 10**6, 10**9]),
    static=static_labels,
    rotating=rotating_labels,
)
def test_the_runtime_reads_every_bit(
    values: list[float], first_ns: int, period_ns: int, static: dict[str, str], rotating: list[object]
) -> None:
    """Names, labels in order, the bits of every value but the sign of zero, and stamps of any width."""
    stamps = [first_ns + k * period_ns for k in range(len(values))]
    made = encoded(values, stamps, labels=static, dynamic_labels=rotating)
    frames = frames_of(made.payload)
    assert made.record_ends().tolist() == np.cumsum([len(frame) + 4 for frame in frames]).tolist()
    for frame, value, stamp_ns in zip(frames, values, stamps, strict=True):
        series = PROMETHEUS["TimeSeries"].FromString(frame)
        names = [label.name for label in series.labels]
        assert names == sorted(names, key=str.encode)
        assert set(names) >= {"__name__", *static}
        (sample,) = series.samples
        assert sample.timestamp == stamp_ns // 1_000_000
        assert struct.pack("<d", sample.value) == struct.pack("<d", value if value != 0 else 0.0)


def test_the_stale_marker_keeps_its_bits() -> None:
    """Prometheus knows it by them alone."""
    payload = encoded([STALE_MARKER], [STAMP_NS]).payload
    assert bytes.fromhex("09020000000000f07f") in payload


def test_a_stamp_before_the_epoch_is_refused() -> None:
    """As by every encoder."""
    with pytest.raises(EncoderError, match="timestamp before Unix epoch"):
        encoded([1.0], [-1])


@given(st.lists(st.binary(max_size=300) | st.sampled_from([b"", b"x" * 127, b"x" * 128, b"y" * 16_384]), min_size=1))
def test_records_become_a_repeated_field(messages: list[bytes]) -> None:
    """Whatever their lengths, also where the new length takes more bytes than the old prefix."""
    payload = b"".join(len(one).to_bytes(4, "little") + one for one in messages)
    ends = np.cumsum([len(one) + 4 for one in messages])
    assert with_lengths(payload, ends, 1) == b"".join(b"\x0a" + varint(len(one)) + one for one in messages)


def test_a_record_of_any_length_has_its_own_length_before_it() -> None:
    """Three mebibytes need a varint of four bytes."""
    messages = [b"x" * 3 * 1024 * 1024, b"y"]
    payload = b"".join(len(one).to_bytes(4, "little") + one for one in messages)
    ends = np.cumsum([len(one) + 4 for one in messages])
    assert with_lengths(payload, ends, 1) == b"".join(b"\x0a" + varint(len(one)) + one for one in messages)


@pytest.mark.parametrize(
    ("encoder", "name", "text"),
    [
        (PrometheusText(), "up", "truncated TimeSeries protobuf: expected 824209525 bytes, got 15"),
        (InfluxLp(), "u", "truncated TimeSeries protobuf: expected "),
    ],
)
def test_lines_are_no_time_series(encoder: PrometheusText | InfluxLp, name: str, text: str) -> None:
    """An encoder that writes something else than its sink reads is told from the first event on."""
    plan = entry_plan(name=name, encoder=encoder, sink=RemoteWriteSink(url="http://h"))
    with pytest.raises(EncoderError, match=text):
        encoders.build(plan).encode(Batch(0, np.array([1.0]), np.array([STAMP_NS])))
