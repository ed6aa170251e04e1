"""A receiver that never answers holds its own scenario, for as long as a stop allows, and nobody else."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.receiver import Answer, Receiver

OTHERS = 50
RATE = 20
# The daemon gives a stop five seconds; the rest is for a busy machine.
DELETE_SECS = 15


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


@pytest.mark.parametrize("kind", ["http_push", "loki"])
def test_a_silent_receiver_disturbs_nobody_else(server: LiveServer, silent: Receiver, kind: str) -> None:
    """Fifty other scenarios go on at their rate, the control plane answers, and the stuck one can be deleted."""
    sink = {"type": kind, "url": silent.url, "batch_size": 1}
    (stuck,) = server.launch({"version": 2, "scenarios": [entry(0, sink)]})
    others = server.launch(
        {"version": 2, "scenarios": [entry(number, {"type": "memory"}) for number in range(1, OTHERS + 1)]}
    )
    wait_until(lambda: silent.requests, "the receiver holds a request")
    before = {row["id"]: server.stats(row["id"])["total_events"] for row in others}
    for row in others:
        stats = server.wait_for_events(row["id"], before[row["id"]] + 2 * RATE, 60)
        assert (stats["state"], stats["errors"]) == ("running", 0)
    assert server.get("/health").status_code == 200
    stats = server.stats(stuck["id"])
    assert (stats["state"], stats["total_events"], len(silent.requests)) == ("running", 0, 1)
    answer = server.delete(f"/scenarios/{stuck['id']}", timeout=DELETE_SECS)
    assert (answer.status_code, answer.json()["status"]) == (200, "stopped")
    # What it held is counted as lost, in the daemon's words.
    assert server.wait_for_log("no answer before the scenario had to stop")
    for row in others:
        assert server.stats(row["id"])["state"] == "running"
