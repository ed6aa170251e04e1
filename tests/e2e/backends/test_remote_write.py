"""Prometheus and VictoriaMetrics take remote write and give every sample back, value by value."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.prometheus import Prometheus
from tests.support.backends.victoria_metrics import VictoriaMetrics
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

HOSTS = 4
RATE = 500
SECS = 2
# Zeros, negative ones too, have no field of their own.
VALUES = [0.0, 0.1, -0.0, 123456.789, -7.25, 0.333]
RETRY = {"max_attempts": 20, "initial_backoff": "50ms", "max_backoff": "500ms"}


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    directory = tmp_path / "prometheus"
    directory.mkdir()
    store = Prometheus(directory)
    yield store
    store.stop()


@pytest.fixture
def victoria_metrics(tmp_path: Path) -> Iterator[VictoriaMetrics]:
    directory = tmp_path / "victoria-metrics"
    directory.mkdir()
    store = VictoriaMetrics(directory)
    yield store
    store.stop()


def entry(url: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": "up",
        "signal_type": "metrics",
        "name": "written_total",
        "rate": RATE,
        "duration": f"{SECS}s",
        "generator": {"type": "sequence", "values": VALUES},
        "dynamic_labels": [{"key": "host", "prefix": "h", "cardinality": HOSTS}],
        "labels": {"job": 'quoted "x" and ü', "Zone": "upper"},
        "encoder": {"type": "remote_write"},
        "sink": {"type": "remote_write", "url": f"{url}/api/v1/write", "batch_size": 300, "retry": RETRY},
        **fields,
    }


def expected(ticks: int) -> dict[str, list[float]]:
    return {f"h{host}": [VALUES[tick % 6] for tick in range(host, ticks, HOSTS)] for host in range(HOSTS)}


def run(server: LiveServer, scenario: dict[str, Any]) -> int:
    """Run a scenario to its end; returns how many events there were, all delivered."""
    (row,) = server.launch({"version": 2, "scenarios": [scenario]})
    stats = server.wait_for_state(row["id"], "finished", 30)
    assert (stats["errors"], stats["lost_events"], stats["rejected_events"]) == (0, 0, 0), stats
    assert stats["total_events"] > RATE
    return int(stats["total_events"])


def test_prometheus_has_every_sample(server: LiveServer, prometheus: Prometheus) -> None:
    """Each series has the values of its ticks in order, to the last bit, and distinct instants."""
    ticks = run(server, entry(prometheus.url))
    series = prometheus.query("written_total[1m]")
    assert {one["metric"]["host"]: [float(value) for _, value in one["values"]] for one in series} == expected(ticks)
    for one in series:
        assert one["metric"] == {
            "__name__": "written_total",
            "job": 'quoted "x" and ü',
            "Zone": "upper",
            "host": one["metric"]["host"],
        }
        instants = [instant for instant, _ in one["values"]]
        assert instants == sorted(set(instants))


def test_victoria_metrics_has_every_sample(server: LiveServer, victoria_metrics: VictoriaMetrics) -> None:
    """The same, from another reader of the same protocol."""
    ticks = run(server, entry(victoria_metrics.url))
    samples = lambda: sum(len(one["values"]) for one in victoria_metrics.series("written_total"))  # noqa: E731
    wait_until(lambda: samples() >= ticks, "all is stored")
    series = victoria_metrics.series("written_total")
    assert {one["metric"]["host"]: one["values"] for one in series} == expected(ticks)


def test_prometheus_ends_a_series_whose_gate_closes(server: LiveServer, prometheus: Prometheus) -> None:
    """The stale marker arrives with its bits: the series is gone from instant queries at once."""
    gate = entry(prometheus.url, id="gate", name="gate", dynamic_labels=[], duration="3s", rate=50)
    gate["generator"] = {"type": "flap", "up_duration": "1500ms", "down_duration": "60s"}
    gated = entry(prometheus.url, name="gated", duration="3s", rate=50)
    gated["while"] = {"ref": "gate", "op": ">", "value": 0.5}
    gated["generator"] = {"type": "constant", "value": 1}
    rows = server.launch({"version": 2, "scenarios": [gate, gated]})
    for row in rows:
        server.wait_for_state(row["id"], "finished", 20)
    assert len(prometheus.query("gated[1m]")) == HOSTS
    assert prometheus.query("gated") == []
    assert len(prometheus.query("gate")) == 1


def test_what_prometheus_refuses_is_a_failure_in_its_own_words(server: LiveServer, prometheus: Prometheus) -> None:
    """A sample from the past is never taken: the batch is lost, counted, and not tried again."""
    run(server, entry(prometheus.url))
    (row,) = server.launch(
        {"version": 2, "scenarios": [entry(prometheus.url, start_time="2020-01-01T00:00:00Z", duration="1s")]}
    )
    stats = server.wait_for_state(row["id"], "finished", 20)
    assert stats["total_sink_failures"] == stats["errors"] > 0
    assert stats["lost_events"] >= RATE
    assert stats["last_sink_error"].startswith(f"HTTP 400 from '{prometheus.url}/api/v1/write': ")
    assert stats["degraded"]
