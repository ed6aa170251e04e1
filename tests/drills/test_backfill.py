"""History in real stores: what their own functions say over the seam between it and the live samples."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.backends.prometheus import Prometheus
from tests.support.backends.victoria_metrics import VictoriaMetrics
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until


def history(url: str, rate: float, backfill: str, **fields: Any) -> dict[str, Any]:
    sink = {"type": "remote_write", "url": url, "batch_size": 2000, "max_buffer_age": "200ms"}
    return {
        "version": 2,
        "scenarios": [
            {
                "signal_type": "metrics",
                "name": "requests_total",
                "rate": rate,
                "backfill": backfill,
                "generator": {"type": "step", "step_size": 3.0},
                "encoder": {"type": "remote_write"},
                "sink": sink,
            }
            | fields
        ],
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VictoriaMetrics]:
    directory = tmp_path / "store"
    directory.mkdir()
    store = VictoriaMetrics(directory)
    yield store
    store.stop()


def is_live(server: LiveServer, scenario_id: str, history_events: int) -> bool:
    stats = server.stats(scenario_id)
    return stats["acknowledged_events"] > history_events + 3 and stats["backlog_secs"] == 0.0


@pytest.mark.parametrize(("rate", "backfill", "events"), [(1 / 60, "90d", 90 * 1440), (1000, "1h", 3_600_000)])
def test_a_store_sees_no_seam(
    start_server: StartServer, store: VictoriaMetrics, rate: float, backfill: str, events: int
) -> None:
    """Ninety days at a sample a minute, an hour at a thousand a second: no gap, no repeat, no reset, little memory."""
    server = start_server()
    (row,) = server.launch(history(f"{store.url}/api/v1/write", rate, backfill))
    worker = server.worker(row["id"])
    live_after = events if rate < 1 else events + 1000
    reached = lambda: server.stats(row["id"])["acknowledged_events"] >= live_after  # noqa: E731
    wait_until(reached, "the history is written", 120)
    wait_until(lambda: server.stats(row["id"])["backlog_secs"] == 0.0, "it is live", 30)
    assert worker.memory_full_info().uss < 64 * 2**20
    stats = server.delete(f"/scenarios/{row['id']}").json()
    total = stats["total_events"]
    values: list[float] = []
    stamps: list[int] = []

    def is_whole() -> bool:
        values.clear()
        stamps.clear()
        for one in store.series("requests_total"):
            values.extend(one["values"])
            stamps.extend(one["timestamps"])
        return len(values) >= total

    wait_until(is_whole, "the store shows the newest samples too", 30)
    assert values == [3.0 * tick for tick in range(total)]
    period_ms = 1000 / rate
    assert max(abs(stamp - stamps[0] - tick * period_ms) for tick, stamp in enumerate(stamps)) <= 1


def test_history_goes_on_after_a_kill(start_server: StartServer, store: VictoriaMetrics, tmp_path: Path) -> None:
    """Nothing of it is a hole; the store has every sample."""
    state = ("--state-dir", str(tmp_path / "state"))
    server = start_server(*state)
    (row,) = server.launch(history(f"{store.url}/api/v1/write", 100, "6h"))
    server.wait_for_events(row["id"], 100_000)
    server.kill()
    server = start_server(*state)
    wait_until(lambda: server.get(f"/scenarios/{row['id']}").status_code == 200, "it is there again")
    wait_until(lambda: is_live(server, row["id"], 6 * 360_000), "it is live", 120)
    assert "holes" not in server.get(f"/scenarios/{row['id']}").json()
    server.delete(f"/scenarios/{row['id']}")
    values = [value for one in store.series("requests_total") for value in one["values"]]
    assert sorted(set(values)) == [3.0 * tick for tick in range(len(set(values)))]
    assert len(set(values)) > 6 * 360_000


def test_prometheus_computes_over_the_seam(start_server: StartServer, tmp_path: Path) -> None:
    """With a window for samples out of order: count, rate and resets are what the counter is."""
    directory = tmp_path / "prometheus"
    directory.mkdir()
    store = Prometheus(directory, storage={"tsdb": {"out_of_order_time_window": "2h"}})
    try:
        server = start_server()
        (row,) = server.launch(history(f"{store.url}/api/v1/write", 1, "1h"))
        wait_until(lambda: is_live(server, row["id"], 3600), "it is live", 60)
        server.stop(signal.SIGTERM)
        at = time.time()
        counted = store.query("count_over_time(requests_total[55m])")
        assert abs(float(counted[0]["value"][1]) - 55 * 60) <= 15, at
        assert float(store.query("resets(requests_total[59m])")[0]["value"][1]) == 0
        assert abs(float(store.query("rate(requests_total[50m])")[0]["value"][1]) - 3.0) < 0.05
    finally:
        store.stop()


def test_a_store_that_refuses_old_samples_is_no_fault(start_server: StartServer, tmp_path: Path) -> None:
    """What is older than the store takes is counted as refused, with its reason; the run goes on live."""
    directory = tmp_path / "prometheus"
    directory.mkdir()
    store = Prometheus(directory)
    try:
        server = start_server()
        url = f"{store.url}/api/v1/write"
        (newest,) = server.launch(history(url, 10, "1s", name="newest"))
        wait_until(lambda: server.stats(newest["id"])["acknowledged_events"] > 0, "the store has a sample of now", 30)
        (row,) = server.launch(history(url, 10, "6h"))
        wait_until(lambda: server.stats(row["id"])["acknowledged_events"] > 0, "samples of now are taken", 60)
        stats = server.stats(row["id"])
        assert (stats["state"], stats["errors"], stats["lost_events"]) == ("running", 0, 0)
        assert stats["rejected_events"] > 10 * 3600
        assert "out of bounds" in stats["last_rejection"]
    finally:
        store.stop()
