"""The digest of events as the documentation words it, computed from the written lines by slow means."""

import hashlib
import json
import re
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.digest import add_digests
from common.segments import Segment
from tests.unit.worker.test_segmented_runs import digests, written

WORD = 2**64
LINE = re.compile(r"(?P<name>[^{ ]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+) (?P<stamp>\d+)")
START_MS = 1_767_225_600_000


def hash_of(text: str | bytes) -> int:
    data = text if isinstance(text, bytes) else text.encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def mixed(number: int) -> int:
    z = (number + 0x9E3779B97F4A7C15) % WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % WORD
    return z ^ (z >> 31)


def digest(records: list[tuple[int, int, int]]) -> str:
    """Of series, stamp in milliseconds, and value or message, as numbers."""
    first = second = 0
    for series, stamp, content in records:
        first += mixed(mixed(mixed(series) ^ stamp) ^ content)
        second += mixed(mixed(mixed(WORD - 1 - series) ^ content) ^ stamp)
    return f"{first % WORD:016x}{second % WORD:016x}"


def series_of(name: str, labels: dict[str, str]) -> int:
    named = [hash_of(name)] if name else []
    return sum(named + [hash_of(f"{key}".encode() + b"\xff" + value.encode()) for key, value in labels.items()]) % WORD


def sample_of(line: bytes) -> tuple[int, int, int]:
    match = LINE.fullmatch(line.decode().rstrip())
    assert match is not None
    labels = dict(re.findall(r'(\w+)="([^"]*)"', match["labels"] or ""))
    value = float(match["value"].replace("Inf", "inf"))
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    return series_of(match["name"], labels), int(match["stamp"]), bits


def log_of(line: bytes) -> tuple[int, int, int]:
    record = json.loads(line)
    return series_of("", record["labels"]), START_MS + record_ms(record["timestamp"]), hash_of(record["message"])


def record_ms(stamp: str) -> int:
    return round(float(stamp.rsplit(":", 1)[1].rstrip("Z")) * 1000)


BASE: dict[str, Any] = {
    "id": "a",
    "name": "up",
    "rate": 90,
    "duration": "1s",
    "start_time": "2026-01-01T00:00:00Z",
    "labels": {"job": "shop", "zone": "é"},
    "sink": {"type": "memory"},
    "dynamic_labels": [{"key": "host", "prefix": "h", "cardinality": 5}],
    "cardinality_spikes": [{"label": "pod", "every": "300ms", "for": "100ms", "cardinality": 3}],
}
METRICS = {"signal_type": "metrics", "generator": {"type": "uniform", "min": -5, "max": 5, "seed": 3}}
HISTOGRAM = {"signal_type": "histogram", "distribution": {"type": "exponential", "rate": 3}}
LOGS = {
    "signal_type": "logs",
    "log_generator": {
        "type": "template",
        "templates": [{"message": "from {ip}", "field_pools": {"ip": ["::1", "10.0.0.1"]}}, {"message": "plain"}],
        "seed": 4,
    },
}


@pytest.mark.parametrize(("fields", "record_of"), [(METRICS, sample_of), (HISTOGRAM, sample_of), (LOGS, log_of)])
def test_a_digest_can_be_computed_from_what_was_received(fields: dict[str, Any], record_of: Any) -> None:
    """Name, labels, milliseconds, and the value or the message of each line are enough, in any order."""
    body = {"version": 2, "scenarios": [BASE | fields]}
    ((_, events),) = written(body)
    lines = [line for event in events for line in event.splitlines()]
    assert digests(body, Segment(1, 1)) == [digest([record_of(line) for line in reversed(lines)])]


@given(texts=st.lists(st.binary(min_size=16, max_size=16).map(bytes.hex), max_size=5))
def test_digests_are_added_half_by_half(texts: list[str]) -> None:
    """Modulo 2^64 each."""
    halves = [sum(int(text[at : at + 16], 16) for text in texts) % WORD for at in (0, 16)]
    assert add_digests(texts) == f"{halves[0]:016x}{halves[1]:016x}"


def test_what_is_no_digest_is_not_added() -> None:
    """It says so."""
    with pytest.raises(ValueError, match="not a digest of 32 hexadecimal digits"):
        add_digests(["12"])
