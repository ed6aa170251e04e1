"""VictoriaMetrics takes what http_push sends and gives every sample back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.victoria_metrics import VictoriaMetrics
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

HOSTS = 5
RATE = 5000
SECS = 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VictoriaMetrics]:
    directory = tmp_path / "victoria-metrics"
    directory.mkdir()
    store = VictoriaMetrics(directory)
    yield store
    store.stop()


def entry(**fields: Any) -> dict[str, Any]:
    return {
        "id": "up",
        "signal_type": "metrics",
        "name": "pushed_total",
        "rate": RATE,
        "duration": f"{SECS}s",
        "generator": {"type": "step", "step_size": 1},
        "dynamic_labels": [{"key": "host", "prefix": "h", "cardinality": HOSTS}],
        **fields,
    }


@pytest.mark.parametrize(
    ("encoder", "path", "series_name", "job"),
    [
        ("prometheus_text", "/api/v1/import/prometheus", "pushed_total", 'quoted "x"\\ and ü'),
        # Influx lines do not escape backslashes, so that none may stand before a space.
        ("influx_lp", "/write", "pushed_total_value", 'quoted "x", and ü=u'),
    ],
)
def test_metrics_arrive_sample_by_sample(
    server: LiveServer, store: VictoriaMetrics, encoder: str, path: str, series_name: str, job: str
) -> None:
    """Every tick's value, label set and millisecond, however it was batched; the last batch too."""
    sink = {"type": "http_push", "url": f"{store.url}{path}", "batch_size": 100_000}
    (row,) = server.launch(
        {"version": 2, "scenarios": [entry(sink=sink, encoder={"type": encoder}, labels={"job": job})]}
    )
    stats = server.wait_for_state(row["id"], "finished", 20)
    # On a busy machine ticks that are overdue at the end are not fired.
    ticks = stats["total_events"]
    assert ticks > RATE
    assert stats["errors"] == 0
    wait_until(lambda: sum(len(one["values"]) for one in store.series(series_name)) >= ticks, "all is stored")
    series = store.series(series_name)
    assert len(series) == HOSTS
    for one in series:
        host = int(one["metric"].pop("host").removeprefix("h"))
        assert one["metric"] == {"__name__": series_name, "job": job}
        assert one["values"] == list(range(host, ticks, HOSTS))
        first = one["timestamps"][0]
        assert one["timestamps"] == [first + k for k in range(len(one["values"]))]


def test_what_the_store_refuses_is_told(server: LiveServer, store: VictoriaMetrics) -> None:
    """A wrong path is neither a delivery nor a failure of the scenario: the log has the reason."""
    sink = {"type": "http_push", "url": f"{store.url}/no/such/path", "batch_size": 1}
    (row,) = server.launch({"version": 2, "scenarios": [entry(sink=sink, rate=20, duration="500ms")]})
    stats = server.wait_for_state(row["id"], "finished")
    assert stats["total_events"] > 0
    assert stats["errors"] == stats["total_sink_failures"] == 0
    assert stats["last_successful_write_at"] is None
    assert stats["rejected_events"] == stats["total_events"]
    assert stats["last_rejection"].startswith(f"HTTP 400 from '{store.url}/no/such/path': ")
    note = f"sonda: scenario 'pushed_total': http_push sink: received HTTP 400 from '{store.url}/no/such/path'"
    (line,) = server.wait_for_log(note)
    assert f" id={row['id']}" in line
