"""A receiver that never answers holds its own scenario, for as long as a stop allows, and nobody else."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.receiver import Answer, Receiver

OTHERS = 12
RATE = 20
KINDS = ("http_push", "loki")


@pytest.fixture
def silent() -> Iterator[Receiver]:
    with Receiver(lambda _: Answer(silent=True)) as receiver:
        yield receiver


def entry(number: int, sink: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "signal_type": "metrics",
        "name": f"metric_{number}",
        "rate": RATE,
        "generator": {"type": "constant", "value": 1},
        "sink": sink,
    }


def test_a_silent_receiver_disturbs_nobody_else(server: LiveServer, silent: Receiver) -> None:
    """A dozen other scenarios go on at their rate, the control plane answers, and the stuck ones can be deleted."""
    sinks = [{"type": kind, "url": silent.url, "batch_size": 1} for kind in KINDS]
    stuck = server.launch({"version": 2, "scenarios": [entry(100 + place, sink) for place, sink in enumerate(sinks)]})
    others = server.launch(
        {"version": 2, "scenarios": [entry(number, {"type": "memory"}) for number in range(1, OTHERS + 1)]}
    )
    wait_until(lambda: len(silent.requests) >= len(KINDS), "the receiver holds a request of each")
    before = {row["id"]: server.stats(row["id"])["total_events"] for row in others}
    for row in others:
        stats = server.wait_for_events(row["id"], before[row["id"]] + 2 * RATE, 60)
        assert (stats["state"], stats["errors"]) == ("running", 0)
    assert server.get("/health").status_code == 200
    for row in stuck:
        stats = server.stats(row["id"])
        assert (stats["state"], stats["total_events"]) == ("running", 0)
    with ThreadPoolExecutor() as threads:
        answers = threads.map(lambda row: requests.delete(f"{server.url}/scenarios/{row['id']}", timeout=60), stuck)
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "stopped")] * len(KINDS)
    # What they held is counted as lost, in the daemon's words.
    lost = "no answer before the scenario had to stop"
    wait_until(lambda: len(server.log_lines(lost)) == len(KINDS), "the log says so of each")
    for row in others:
        assert server.stats(row["id"])["state"] == "running"
