"""A real Prometheus scrapes a histogram and a summary, and its own functions find the distribution again."""

import math
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest

from tests.support.backends.prometheus import Prometheus
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

MEAN = 0.1
QUANTILES = (0.5, 0.9, 0.99)
OBSERVATIONS = 1000
RATE = 10
HISTOGRAM = {
    "signal_type": "histogram",
    "name": "latency_seconds",
    "distribution": {"type": "exponential", "rate": 1 / MEAN},
    # Narrow enough for the straight line that histogram_quantile draws within a bucket.
    "buckets": [round(0.02 * step, 2) for step in range(1, 51)],
}
SUMMARY = {
    "signal_type": "summary",
    "name": "rpc_seconds",
    "distribution": {"type": "normal", "mean": MEAN, "stddev": 0.02},
    "quantiles": list(QUANTILES),
}


@pytest.fixture
def prometheus(server: LiveServer, tmp_path: Path) -> Iterator[Prometheus]:
    """Prometheus with one job for each of the two scenarios, one in each form that a scrape can have."""
    common = {"rate": RATE, "observations_per_tick": OBSERVATIONS, "seed": 42, "sink": {"type": "memory"}}
    rows = server.launch({"version": 2, "scenarios": [HISTOGRAM | common, SUMMARY | common]})
    modes: list[dict[str, list[str]]] = [{"mode": ["snapshot"]}, {"limit": ["1000"]}]
    scrapes = [
        {
            "job_name": row["name"],
            "metrics_path": f"/scenarios/{row['id']}/metrics",
            "params": params,
            "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}],
        }
        for row, params in zip(rows, modes, strict=True)
    ]
    running = Prometheus(tmp_path, *scrapes)
    yield running
    running.stop()


def value(prometheus: Prometheus, expression: str) -> float:
    """Return the one number that an expression has."""

    def found() -> list[dict[str, Any]]:
        results = prometheus.query(expression)
        return [result for result in results if not math.isnan(float(result["value"][1]))]

    (result,) = wait_until(found, f"{expression} has a value", 60)
    return float(result["value"][1])


def test_the_distribution_is_found_again(prometheus: Prometheus) -> None:
    """Quantiles and means, of the histogram by `histogram_quantile`, are those that were asked for."""
    wait_until(lambda: value(prometheus, "latency_seconds_count") >= 100 * OBSERVATIONS, "enough was observed", 60)
    for quantile in QUANTILES:
        exponential = -math.log(1 - quantile) * MEAN
        estimate = value(prometheus, f"histogram_quantile({quantile}, latency_seconds_bucket)")
        assert estimate == pytest.approx(exponential, rel=0.05)
        drawn = value(prometheus, f'avg_over_time(rpc_seconds{{quantile="{quantile}"}}[1m])')
        assert drawn == pytest.approx(NormalDist(MEAN, 0.02).inv_cdf(quantile), rel=0.02)
    # Over rates, whose extrapolation from so short a time blurs the tail.
    estimate = value(prometheus, "histogram_quantile(0.5, rate(latency_seconds_bucket[1m]))")
    assert estimate == pytest.approx(math.log(2) * MEAN, rel=0.05)
    for name in ("latency_seconds", "rpc_seconds"):
        assert value(prometheus, f"{name}_sum / {name}_count") == pytest.approx(MEAN, rel=0.03)
    assert value(prometheus, 'latency_seconds_bucket{le="+Inf"} == ignoring(le) latency_seconds_count') > 0
    assert value(prometheus, "count(latency_seconds_bucket)") == len(HISTOGRAM["buckets"]) + 1
