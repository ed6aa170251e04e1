"""A Prometheus that speaks remote write 2.0 takes every sample, its type and its start; another is told apart."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends import built
from tests.support.backends.prometheus import Prometheus
from tests.support.live_server import LiveServer

HOSTS = 4
RATE = 500
VALUES = [0.0, 0.1, -0.0, 123456.789, -7.25, 0.333]
# Types become labels, and a start before the first sample becomes a sample of 0.
FEATURES = "type-and-unit-labels,created-timestamp-zero-ingestion"


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    directory = tmp_path / "prometheus"
    directory.mkdir()
    store = Prometheus(directory, program=built("prometheus"), features=FEATURES)
    yield store
    store.stop()


@pytest.fixture
def old_prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    directory = tmp_path / "old-prometheus"
    directory.mkdir()
    store = Prometheus(directory)
    yield store
    store.stop()


def entry(url: str, **fields: Any) -> dict[str, Any]:
    sink = {"type": "remote_write", "url": f"{url}/api/v1/write", "protocol_version": "2.0", "batch_size": 300}
    return {
        "id": "up",
        "signal_type": "metrics",
        "name": "written",
        "rate": RATE,
        "duration": "2s",
        "generator": {"type": "sequence", "values": VALUES},
        "labels": {"job": 'quoted "x" and ü', "Zone": "upper", "empty": ""},
        "encoder": {"type": "remote_write"},
        "sink": sink,
        **fields,
    }


def run(server: LiveServer, *entries: dict[str, Any]) -> list[dict[str, Any]]:
    """Run entries to their end; returns their statistics."""
    rows = server.launch({"version": 2, "scenarios": list(entries)})
    return [server.wait_for_state(row["id"], "finished", 30) for row in rows]


def clean(stats: dict[str, Any]) -> int:
    """Return how many events there were, all delivered."""
    assert (stats["errors"], stats["lost_events"], stats["rejected_events"]) == (0, 0, 0), stats
    return int(stats["total_events"])


def test_every_sample_is_stored(server: LiveServer, prometheus: Prometheus) -> None:
    """Each series has the values of its ticks in order, to the last bit, and the type of the entry."""
    rotating = [{"key": "host", "prefix": "h", "cardinality": HOSTS}]
    (stats,) = run(server, entry(prometheus.url, dynamic_labels=rotating, metric_type="untyped"))
    ticks = clean(stats)
    assert ticks > RATE
    series = prometheus.query("written[1m]")
    assert {one["metric"]["host"]: [bits(value) for _, value in one["values"]] for one in series} == {
        f"h{host}": [bits(VALUES[tick % 6]) for tick in range(host, ticks, HOSTS)] for host in range(HOSTS)
    }
    for one in series:
        assert one["metric"] == {
            "__name__": "written",
            "job": 'quoted "x" and ü',
            "Zone": "upper",
            "host": one["metric"]["host"],
        }


def bits(value: float | str) -> tuple[float, float]:
    return float(value), math.copysign(1.0, float(value))


def test_a_counter_has_its_start(server: LiveServer, prometheus: Prometheus) -> None:
    """One interval before the first sample it is 0, which no tick was; histograms say their type as well."""
    counter = entry(prometheus.url, name="turns_total", generator={"type": "step", "start": 5, "step_size": 1})
    histogram = entry(prometheus.url, id="h", name="took", signal_type="histogram", rate=10)
    del histogram["generator"]
    histogram |= {"distribution": {"type": "exponential", "rate": 9}, "buckets": [0.1, 1]}
    counted, measured = map(clean, run(server, counter, histogram))
    (series,) = prometheus.query('turns_total{__type__="counter"}[1m]')
    (first, zero), *samples = series["values"]
    assert (zero, [float(value) for _, value in samples]) == ("0", [5.0 + tick for tick in range(counted)])
    assert round(1000 * (samples[0][0] - first)) == 2
    buckets = prometheus.query('{__type__="histogram"}[1m]')
    assert {one["metric"].get("le", one["metric"]["__name__"]) for one in buckets} == {
        "0.1", "1", "+Inf", "took_sum", "took_count"
    }  # fmt: skip
    assert [len(one["values"]) for one in buckets] == [measured + 1] * 5


def test_a_closing_gate_ends_its_series(server: LiveServer, prometheus: Prometheus) -> None:
    """The stale marker arrives with its bits."""
    gate = entry(prometheus.url, id="gate", name="gate", duration="3s", rate=50)
    gate["generator"] = {"type": "flap", "up_duration": "1500ms", "down_duration": "60s"}
    gated = entry(prometheus.url, name="gated", duration="3s", rate=50)
    gated["while"] = {"ref": "gate", "op": ">", "value": 0.5}
    gated["generator"] = {"type": "constant", "value": 1}
    run(server, gate, gated)
    assert len(prometheus.query("gated[1m]")) == 1
    assert prometheus.query("gated") == []
    assert len(prometheus.query("gate")) == 1


def test_what_was_not_written_is_counted(server: LiveServer, prometheus: Prometheus) -> None:
    """A second sample of a millisecond, in the next request, is refused, and the rest of that request written."""
    scenario = entry(prometheus.url, rate=3000, duration="1s")
    scenario["sink"]["batch_size"] = 100
    (stats,) = run(server, scenario)
    assert (stats["errors"], stats["lost_events"]) == (0, 0)
    assert 0 < stats["rejected_batches"] <= stats["rejected_events"] <= 2 * stats["rejected_batches"]
    assert stats["acknowledged_events"] == stats["total_events"] - stats["rejected_events"]
    assert re.match("[12] samples not written: HTTP 400 from ", stats["last_rejection"])
    assert "duplicate sample for timestamp" in stats["last_rejection"]


def test_one_of_1_0_has_written_nothing_whatever_it_says(server: LiveServer, old_prometheus: Prometheus) -> None:
    """It answers 204 and stores nothing: the scenario says so."""
    (stats,) = run(server, entry(old_prometheus.url, duration="1s"))
    assert stats["last_sink_error"].startswith(f"HTTP 204 from '{old_prometheus.url}/api/v1/write' without the header ")
    # Ticks that are overdue at the end on a busy machine are left out.
    assert 0 < stats["lost_events"] <= RATE
    assert stats["acknowledged_events"] == 0
    assert old_prometheus.query("written[1m]") == []
