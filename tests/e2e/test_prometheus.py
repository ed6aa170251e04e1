"""A real Prometheus scrapes a running scenario and gives back what was emitted."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import StartServer
from tests.support.backends.prometheus import Prometheus
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

FIRST_STEPS = Path(__file__).parents[2] / "docs" / "first-steps.md"
RATE = 20
KEY = "scrape-me"


@pytest.fixture(params=["open", "with a key"])
def scraped(
    request: pytest.FixtureRequest, start_server: StartServer, shared_server: LiveServer, tmp_path: Path
) -> Iterator[Prometheus]:
    """Prometheus, scraping a scenario that counts its ticks, with and without an API key."""
    needs_key = request.param == "with a key"
    server = start_server(environment={"SONDA_API_KEY": KEY}) if needs_key else shared_server
    headers = {"Authorization": f"Bearer {KEY}"} if needs_key else {}
    prometheus = Prometheus(tmp_path, scrape_config(server, counter_of_ticks(server, headers), needs_key))
    yield prometheus
    prometheus.stop()


def counter_of_ticks(server: LiveServer, headers: dict[str, str]) -> str:
    entry = {
        "signal_type": "metrics",
        "name": "ticks_total",
        "rate": RATE,
        "labels": {"room": 'the "blue" one'},
        "generator": {"type": "step", "step_size": 1},
        "sink": {"type": "memory"},
    }
    answer = server.post({"version": 2, "scenarios": [entry]}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def scrape_config(server: LiveServer, scenario_id: str, needs_key: bool) -> dict[str, Any]:
    config = {
        "job_name": "sondad",
        "metrics_path": f"/scenarios/{scenario_id}/metrics",
        "params": {"limit": ["1000"]},
        "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}],
    }
    return config | ({"authorization": {"credentials": KEY}} if needs_key else {})


def test_prometheus_has_every_sample(scraped: Prometheus) -> None:
    """Its query API returns each tick's value at the tick's own instant, none missing, with the scenario's labels."""
    wanted = 3 * RATE

    def samples() -> list[Any]:
        found = scraped.query("ticks_total[5m]")
        return found[0]["values"] if found and len(found[0]["values"]) >= wanted else []

    values = wait_until(samples, f"{wanted} samples are queryable", timeout_secs=60)
    ticks = [int(text) for _, text in values]
    stamps_ms = [round(stamp * 1000) for stamp, _ in values]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
    assert ticks[0] == 0, "the first scrape came before a thousand samples were there"
    period_ms = 1000 // RATE
    assert all(later - earlier == period_ms for earlier, later in pairwise(stamps_ms))

    (series,) = scraped.query("ticks_total")
    assert series["metric"]["room"] == 'the "blue" one'
    assert series["metric"]["job"] == "sondad"
    (health,) = scraped.query("up")
    assert health["value"][1] == "1"


def test_the_documented_job_gets_every_scenario_and_leaves_finished_ones_out(
    shared_server: LiveServer, tmp_path: Path
) -> None:
    """The job of the first steps, as it stands and with the parameter beside it."""
    server = shared_server
    job, parameter = re.findall(r"^```yaml\n(.*?)^```$", FIRST_STEPS.read_text(), re.DOTALL | re.MULTILINE)
    entry = {"signal_type": "metrics", "rate": 10, "generator": {"type": "constant", "value": 1}}
    server.launch({"version": 2, "scenarios": [{**entry, "name": "going", "sink": {"type": "memory"}}]})
    (ended,) = server.launch(
        {"version": 2, "scenarios": [{**entry, "name": "ended", "duration": "300ms", "sink": {"type": "memory"}}]}
    )
    wait_until(lambda: server.stats(ended["id"])["state"] == "finished", "the second has finished")
    jobs = []
    for name, text in (("all", job), ("active", job + parameter)):
        (scrape,) = yaml.safe_load(text)["scrape_configs"]
        targets = [{"targets": [f"127.0.0.1:{server.port}"]}]
        jobs.append(scrape | {"job_name": name, "scrape_interval": "1s", "static_configs": targets})
    prometheus = Prometheus(tmp_path, *jobs)
    try:
        wait_until(lambda: len(prometheus.query('{__name__=~"going|ended"}')) == 3, "both jobs have scraped", 30)
        # A scrape may take longer than the second that it has.
        up = {("all", "1"), ("active", "1")}
        wait_until(
            lambda: {(series["metric"]["job"], series["value"][1]) for series in prometheus.query("up")} == up,
            "both jobs have succeeded",
        )
        assert [series["metric"]["job"] for series in prometheus.query("ended")] == ["all"]
    finally:
        prometheus.stop()
