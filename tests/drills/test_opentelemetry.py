"""A real OpenTelemetry Collector receives every point and record, value by value, over gRPC and HTTP."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import built
from tests.support.backends.opentelemetry_collector import OpenTelemetryCollector
from tests.support.backends.prometheus import Prometheus
from tests.support.backends.victoria_logs import VictoriaLogs
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

HOSTS = 4
RATE = 500
VALUES = [0.0, 0.1, -0.0, 123456.789, -7.25, 1e300]
RETRY = {"max_attempts": 20, "initial_backoff": "50ms", "max_backoff": "500ms"}
OBSERVED = {"rate": 50, "distribution": {"type": "exponential", "rate": 9}, "observations_per_tick": 10}
HISTOGRAM = {"name": "took", "signal_type": "histogram", "metric_type": "histogram", "buckets": [0.1, 1.0]} | OBSERVED
SUMMARY = {"name": "sum", "signal_type": "summary", "metric_type": "summary", "quantiles": [0.5]} | OBSERVED
LABELS = {"job": 'quoted "x" and ü', "empty": ""}
DELTA = 1
CUMULATIVE = 2


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[OpenTelemetryCollector]:
    directory = tmp_path / "collector"
    directory.mkdir()
    collector = OpenTelemetryCollector(directory)
    yield collector
    collector.stop()


Sink = Callable[[OpenTelemetryCollector, str], dict[str, Any]]


def grpc(collector: OpenTelemetryCollector, signal: str) -> dict[str, Any]:
    return {"type": "otlp_grpc", "endpoint": collector.grpc, "signal_type": signal, "batch_size": 300, "retry": RETRY}


def http(collector: OpenTelemetryCollector, signal: str) -> dict[str, Any]:
    return {"type": "otlp_http", "url": collector.http, "signal_type": signal, "batch_size": 300, "retry": RETRY}


def gzipped(collector: OpenTelemetryCollector, signal: str) -> dict[str, Any]:
    return http(collector, signal) | {"compression": "gzip"}


every_way = pytest.mark.parametrize("way", [grpc, http, gzipped])


def run(server: LiveServer, sink: dict[str, Any], **fields: Any) -> int:
    """Run an entry to its end; returns how many events there were, all taken by the collector."""
    entry = {
        "signal_type": "metrics",
        "name": "sent",
        "rate": RATE,
        "duration": "2s",
        "labels": LABELS,
        "encoder": {"type": "otlp"},
        "sink": sink,
    }
    (row,) = server.launch({"version": 2, "scenarios": [entry | fields]})
    stats = server.wait_for_state(row["id"], "finished", 30)
    assert (stats["errors"], stats["lost_events"], stats["rejected_events"]) == (0, 0, 0), stats
    assert stats["acknowledged_events"] == stats["total_events"]
    return int(stats["total_events"])


def attributes(of: dict[str, Any]) -> dict[str, str]:
    return {one["key"]: one["value"]["stringValue"] for one in of.get("attributes", ())}


def stamps(items: list[dict[str, Any]]) -> list[int]:
    return [int(item["timeUnixNano"]) for item in items]


def evenly_apart(items: list[dict[str, Any]], rate: int) -> bool:
    found = stamps(items)
    return found == [found[0] + k * 10**9 // rate for k in range(len(found))]


@every_way
def test_every_gauge_arrives(server: LiveServer, collector: OpenTelemetryCollector, way: Sink) -> None:
    """In order, with its attributes, its nanosecond and its value; the static labels are the resource."""
    rotating = [{"key": "host", "prefix": "h", "cardinality": HOSTS}]
    sequence = {"type": "sequence", "values": VALUES}
    ticks = run(server, way(collector, "metrics"), generator=sequence, dynamic_labels=rotating)
    wait_until(lambda: len(collector.metrics()) >= ticks, "all is in the file")
    metrics = collector.metrics()
    points = [point for metric in metrics for point in metric["gauge"]["dataPoints"]]
    assert {metric["name"] for metric in metrics} == {"sent"}
    assert [point["asDouble"] for point in points] == [VALUES[tick % 6] for tick in range(ticks)]
    assert [attributes(point) for point in points] == [LABELS | {"host": f"h{tick % HOSTS}"} for tick in range(ticks)]
    assert evenly_apart(points, RATE)
    for request in collector.received():
        (resource,) = request["resourceMetrics"]
        assert attributes(resource["resource"]) == LABELS
        assert [scope["scope"]["name"] for scope in resource["scopeMetrics"]] == ["sonda"]


@every_way
def test_counters_histograms_and_summaries_arrive_as_such(
    server: LiveServer, collector: OpenTelemetryCollector, way: Sink
) -> None:
    """Each with the start that it counts from; the count of a histogram is that of its buckets."""
    steps = {"type": "step", "start": 5, "step_size": 1}
    sink = way(collector, "metrics")
    counted = run(server, sink, name="turns", metric_type="counter", help="Turns.", generator=steps)
    measured = run(server, sink, **HISTOGRAM)
    summed = run(server, sink, **SUMMARY)
    wait_until(lambda: len(collector.metrics()) >= counted + measured + summed, "all is in the file")
    metrics = {
        name: [metric for metric in collector.metrics() if metric["name"] == name] for name in ("turns", "took", "sum")
    }
    sums = [metric["sum"] for metric in metrics["turns"]]
    assert {(one["aggregationTemporality"], one["isMonotonic"]) for one in sums} == {(CUMULATIVE, True)}
    assert {metric["description"] for metric in metrics["turns"]} == {"Turns."}
    turns = [point for one in sums for point in one["dataPoints"]]
    assert [point["asDouble"] for point in turns] == [5.0 + tick for tick in range(counted)]
    histograms = [metric["histogram"] for metric in metrics["took"]]
    assert {one["aggregationTemporality"] for one in histograms} == {CUMULATIVE}
    took = [point for one in histograms for point in one["dataPoints"]]
    assert [int(point["count"]) for point in took] == [10 * (tick + 1) for tick in range(measured)]
    assert all(point["explicitBounds"] == HISTOGRAM["buckets"] for point in took)
    assert all(sum(map(int, point["bucketCounts"])) == int(point["count"]) for point in took)
    quantiles = [point for metric in metrics["sum"] for point in metric["summary"]["dataPoints"]]
    assert [int(point["count"]) for point in quantiles] == [10 * (tick + 1) for tick in range(summed)]
    assert all([one["quantile"] for one in point["quantileValues"]] == [0.5] for point in quantiles)
    for points, rate in ((turns, RATE), (took, 50), (quantiles, 50)):
        assert evenly_apart(points, rate)
        assert {int(point["startTimeUnixNano"]) for point in points} == {stamps(points)[0] - 10**9 // rate}


@every_way
def test_deltas_arrive_as_such(server: LiveServer, collector: OpenTelemetryCollector, way: Sink) -> None:
    """What a collector holds adds up to what was counted, interval behind interval, across batches and a gap."""
    sink, encoder = way(collector, "metrics"), {"type": "otlp", "temporality": "delta"}
    steps = {"type": "step", "start": 5, "step_size": 3}
    counted = run(server, sink, name="turns", metric_type="counter", generator=steps, encoder=encoder)
    measured = run(server, sink, **HISTOGRAM, encoder=encoder, gaps={"every": "500ms", "for": "200ms"})
    wait_until(lambda: len(collector.metrics()) >= counted + measured, "all is in the file")
    metrics = collector.metrics()
    sums = [metric["sum"] for metric in metrics if metric["name"] == "turns"]
    histograms = [metric["histogram"] for metric in metrics if metric["name"] == "took"]
    assert {one["aggregationTemporality"] for one in sums + histograms} == {DELTA}
    turns = [point for one in sums for point in one["dataPoints"]]
    assert [point["asDouble"] for point in turns] == [5.0] + [3.0] * (counted - 1)
    assert [int(point["startTimeUnixNano"]) for point in turns[1:]] == stamps(turns)[:-1]
    took = [point for one in histograms for point in one["dataPoints"]]
    assert [int(point["count"]) for point in took] == [10] * measured
    assert all(sum(map(int, point["bucketCounts"])) == 10 for point in took)
    starts = [int(point["startTimeUnixNano"]) for point in took]
    assert [stamp - start for start, stamp in zip(starts, stamps(took), strict=True)] == [10**9 // 50] * measured


LOGS = {
    "signal_type": "logs",
    "log_generator": {
        "type": "template",
        "templates": [{"message": 'took {ms} ms "ü"\n', "field_pools": {"ms": ["3", "12", "190"]}}],
        "severity_weights": {"info": 0.5, "error": 0.5},
    },
}


@every_way
def test_every_log_record_arrives(server: LiveServer, collector: OpenTelemetryCollector, way: Sink) -> None:
    """Its body, severity, attributes and nanosecond."""
    events = run(server, way(collector, "logs"), **LOGS)
    wait_until(lambda: len(collector.log_records()) >= events, "all is in the file")
    records = collector.log_records()
    assert len(records) == events
    assert evenly_apart(records, RATE)
    assert {(record["severityNumber"], record["severityText"]) for record in records} == {(9, "INFO"), (17, "ERROR")}
    for record in records:
        found = attributes(record)
        assert found == LABELS | {"ms": found["ms"]}
        assert record["body"]["stringValue"] == f'took {found["ms"]} ms "ü"\n'


def test_the_documented_configuration_is_one(tmp_path: Path) -> None:
    """What the page about backends shows is what a collector reads."""
    page = (Path(__file__).parents[2] / "docs" / "backends.md").read_text()
    section = page.partition("\n## OpenTelemetry Collector\n")[2].partition("\n## ")[0]
    (configuration,) = re.findall(r"^```yaml\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    path = tmp_path / "collector.yaml"
    path.write_text(configuration)
    subprocess.run([built("opentelemetry_collector"), "validate", f"--config={path}"], check=True, timeout=60)


def test_prometheus_has_every_point(server: LiveServer, tmp_path: Path) -> None:
    """Its series are those that it would have scraped: a counter, and a histogram of which quantiles can be asked."""
    directory = tmp_path / "prometheus"
    directory.mkdir()
    store = Prometheus(directory, program=built("prometheus"))
    try:
        url = f"{store.url}/api/v1/otlp"
        sink = {"type": "otlp_http", "url": url, "signal_type": "metrics", "batch_size": 300, "retry": RETRY}
        counted = run(server, sink, name="turns", metric_type="counter", generator={"type": "step", "step_size": 1})
        measured = run(server, sink, **HISTOGRAM)
        (turns,) = store.query("turns_total[1m]")
        assert [float(value) for _, value in turns["values"]] == list(range(counted))
        buckets = store.query("took_bucket[1m]")
        assert {one["metric"]["le"] for one in buckets} == {"0.1", "1", "+Inf"}
        assert {len(one["values"]) for one in buckets} == {measured}
        (count,) = store.query("took_count")
        assert float(count["value"][1]) == 10 * measured
    finally:
        store.stop()


def test_victoria_logs_has_every_record(server: LiveServer, tmp_path: Path) -> None:
    """What another reader of the same protocol has stored."""
    directory = tmp_path / "victoria-logs"
    directory.mkdir()
    store = VictoriaLogs(directory)
    try:
        url = f"{store.url}/opentelemetry"
        sink = {"type": "otlp_http", "url": url, "signal_type": "logs", "batch_size": 300, "retry": RETRY}
        events = run(server, sink, **LOGS)
        entries = store.entries()
        assert len(entries) == events
        assert {entry.fields["severity_text"] for entry in entries} == {"INFO", "ERROR"}
        for entry in entries:
            assert entry.line == f'took {entry.fields["ms"]} ms "ü"\n'
            assert entry.fields["job"] == LABELS["job"]
        found = sorted(entry.time_ns for entry in entries)
        assert found == [found[0] + k * 10**9 // RATE for k in range(events)]
    finally:
        store.stop()
