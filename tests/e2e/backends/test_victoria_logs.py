"""A log store that speaks the Loki protocol takes what the loki sink pushes and gives every entry back."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends.victoria_logs import VictoriaLogs
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VictoriaLogs]:
    directory = tmp_path / "victoria-logs"
    directory.mkdir()
    store = VictoriaLogs(directory)
    yield store
    store.stop()


def test_metrics_arrive_line_by_line(server: LiveServer, store: VictoriaLogs) -> None:
    """In one stream with the static labels, each line with a nanosecond of its own, the last batch too."""
    rate, secs = 4000, 2
    scenario = {
        "id": "up",
        "signal_type": "metrics",
        "name": "lines_total",
        "rate": rate,
        "duration": f"{secs}s",
        "generator": {"type": "step", "step_size": 1},
        "labels": {"job": "x y", "zone": "eu1"},
        "dynamic_labels": [{"key": "host", "values": ['a"b', "c\\d", "ü"]}],
        "encoder": {"type": "json_lines"},
        "sink": {"type": "loki", "url": store.url, "batch_size": 700},
    }
    (row,) = server.launch({"version": 2, "scenarios": [scenario]})
    stats = server.wait_for_state(row["id"], "finished", 20)
    # On a busy machine ticks that are overdue at the end are not fired.
    ticks = stats["total_events"]
    assert ticks > rate
    assert stats["errors"] == 0
    wait_until(lambda: len(store.entries()) >= ticks, "all is stored", 20)
    entries = store.entries()
    assert {entry.stream for entry in entries} == {'{job="x y",zone="eu1"}'}
    hosts = ['"a\\"b"', '"c\\\\d"', '"ü"']
    for tick, entry in enumerate(entries):
        assert re.search(r'"value":([0-9.]+)', entry.line)[1] == f"{tick}.0", entry.line
        assert f'"host":{hosts[tick % 3]}' in entry.line
    assert len({entry.time_ns for entry in entries}) == len(entries) == ticks


def test_logs_arrive_entry_by_entry(server: LiveServer, store: VictoriaLogs) -> None:
    """Each with the labels of its tick as its stream, its own nanosecond, and its line unchanged."""
    rate, secs, batch = 3000, 2, 500
    start_ns = 1_700_000_000_123_456_789
    scenario = {
        "id": "log",
        "signal_type": "logs",
        "name": "requests",
        "rate": rate,
        "duration": f"{secs}s",
        "start_time": "2023-11-14T22:13:20.123456789Z",
        "log_generator": {
            "type": "template",
            "templates": [{"message": 'said "{word}"', "field_pools": {"word": ["é\t", "back\\slash", "\u0008"]}}],
        },
        "labels": {"app": "edge"},
        "dynamic_labels": [{"key": "pod", "prefix": "p-", "cardinality": 3}],
        "encoder": {"type": "json_lines"},
        "sink": {"type": "loki", "url": store.url, "batch_size": batch},
    }
    (row,) = server.launch({"version": 2, "scenarios": [scenario]})
    stats = server.wait_for_state(row["id"], "finished", 20)
    ticks = stats["total_events"]
    assert ticks > rate
    assert stats["errors"] == 0
    wait_until(lambda: len(store.entries()) >= ticks, "all is stored", 20)
    entries = sorted(store.entries(), key=lambda entry: entry.time_ns)
    assert len(entries) == ticks
    for tick, entry in enumerate(entries):
        assert entry.stream == f'{{app="edge",pod="p-{tick % 3}"}}'
        assert abs(entry.time_ns - (start_ns + tick * 10**9 // rate)) <= 1
        line = json.loads(entry.line)
        assert line["labels"] == {"app": "edge", "pod": f"p-{tick % 3}"}
        assert line["message"] in ('said "é\t"', 'said "back\\slash"', 'said "\b"')


def test_opentelemetry_logs_arrive_record_by_record(server: LiveServer, store: VictoriaLogs) -> None:
    """Over otlp_http, compressed: message, severity, labels and fields, each at its own nanosecond."""
    scenario = {
        "id": "log",
        "signal_type": "logs",
        "name": "logins",
        "rate": 2000,
        "duration": "2s",
        "start_time": "2023-11-14T22:13:20.123456789Z",
        "log_generator": {
            "type": "template",
            "templates": [{"message": 'said "{word}"', "field_pools": {"word": ["é", "back\\slash", "plain"]}}],
            "severity_weights": {"error": 1.0},
        },
        "labels": {"app": "edge"},
        "dynamic_labels": [{"key": "host", "prefix": "h", "cardinality": 3}],
        "encoder": {"type": "otlp"},
        "sink": {
            "type": "otlp_http",
            "url": f"{store.url}/opentelemetry",
            "signal_type": "logs",
            "batch_size": 700,
            "compression": "gzip",
        },
    }
    (row,) = server.launch({"version": 2, "scenarios": [scenario]})
    stats = server.wait_for_state(row["id"], "finished", 20)
    ticks = stats["total_events"]
    assert ticks > 2000
    assert (stats["errors"], stats["rejected_events"]) == (0, 0), stats
    wait_until(lambda: len(store.entries()) >= ticks, "all is stored", 20)
    entries = sorted(store.entries(), key=lambda entry: entry.time_ns)
    first_ns = 1_700_000_000_123_456_789
    assert [entry.time_ns for entry in entries] == [first_ns + tick * 500_000 for tick in range(ticks)]
    for tick, entry in enumerate(entries):
        assert entry.line == f'said "{entry.fields["word"]}"'
        assert entry.fields["host"] == f"h{tick % 3}"
        assert "ERROR" in map(str.upper, map(str, entry.fields.values())), entry.fields
