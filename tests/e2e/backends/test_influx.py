"""VictoriaMetrics takes Influx lines over its TCP listener and gives every sample back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.victoria_metrics import VictoriaMetrics
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

PODS = 7
RATE = 2000
# Influx lines do not escape backslashes, so that none may stand before a space.
JOB = 'quoted "x", and ü=u'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VictoriaMetrics]:
    directory = tmp_path / "victoria-metrics"
    directory.mkdir()
    store = VictoriaMetrics(directory)
    yield store
    store.stop()


def entry(address: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": fields["name"],
        "rate": RATE,
        "duration": "2s",
        "labels": {"job": JOB},
        "encoder": {"type": "influx_lp"},
        "sink": {"type": "tcp", "address": address},
        **fields,
    }


def stored(store: VictoriaMetrics, selector: str, samples: int) -> list[dict[str, Any]]:
    """Return the series once they have so many samples."""
    complete = lambda: sum(len(one["values"]) for one in store.series(selector)) >= samples  # noqa: E731
    wait_until(complete, f"{samples} samples of {selector} are stored", 30)
    return store.series(selector)


def test_every_sample_comes_back(server: LiveServer, store: VictoriaMetrics) -> None:
    """Value, label set and millisecond of each tick of a counter, the field's name in that of the series."""
    counter = entry(
        store.influx_address,
        signal_type="metrics",
        name="sent_total",
        generator={"type": "step", "step_size": 0.25},
        dynamic_labels=[{"key": "pod", "prefix": "p ", "cardinality": PODS}],
        encoder={"type": "influx_lp", "field_key": "count, all"},
    )
    (row,) = server.launch({"version": 2, "scenarios": [counter]})
    stats = server.wait_for_state(row["id"], "finished", 20)
    # On a busy machine ticks that are overdue at the end are not fired.
    ticks = stats["total_events"]
    assert ticks > RATE
    assert stats["errors"] == 0
    series = stored(store, '{__name__=~"sent_total.*"}', ticks)
    assert len(series) == PODS
    for one in series:
        pod = int(one["metric"].pop("pod").removeprefix("p "))
        assert one["metric"] == {"__name__": "sent_total_count, all", "job": JOB}
        assert one["values"] == [tick * 0.25 for tick in range(pod, ticks, PODS)]
        # A tick lasts half a millisecond, and stamps are cut to whole ones.
        first = one["timestamps"][0]
        assert all(abs(at - first - k * PODS / 2) <= 1 for k, at in enumerate(one["timestamps"]))


def test_a_histogram_comes_back(server: LiveServer, store: VictoriaMetrics) -> None:
    """Each tick's buckets, sum and count; counters of one tick add up."""
    histogram = entry(
        store.influx_address,
        signal_type="histogram",
        name="latency_seconds",
        rate=50,
        distribution={"type": "exponential", "rate": 10},
        observations_per_tick=20,
        buckets=[0.05, 0.1, 0.5],
    )
    (row,) = server.launch({"version": 2, "scenarios": [histogram]})
    ticks = server.wait_for_state(row["id"], "finished", 20)["total_events"]
    assert ticks > 25
    counts = [20 * (tick + 1) for tick in range(ticks)]
    (count,) = stored(store, "latency_seconds_count_value", ticks)
    assert count["values"] == counts
    buckets = {one["metric"]["le"]: one["values"] for one in stored(store, "latency_seconds_bucket_value", 4 * ticks)}
    assert list(buckets["+Inf"]) == counts
    assert sorted(buckets) == ["+Inf", "0.05", "0.1", "0.5"]
    for columns in zip(buckets["0.05"], buckets["0.1"], buckets["0.5"], buckets["+Inf"], strict=True):
        assert list(columns) == sorted(columns)
    (total,) = stored(store, "latency_seconds_sum_value", ticks)
    assert total["values"] == sorted(total["values"])
