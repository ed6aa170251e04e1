"""Accepted bodies that ask for more work than anyone can wait for: they stop when they are told to."""

import time
from typing import Any

import pytest

from tests.support.live_server import LiveServer

Body = dict[str, Any]

ENTRY: Body = {
    "signal_type": "metrics",
    "name": "up",
    "rate": 1,
    "generator": {"type": "constant", "value": 1},
    "sink": {"type": "memory"},
    "isolation": "shared",
}
SILENT_FOR_YEARS = {"rate": 0.1, "gaps": {"every": "9.999999s", "for": "9.999998s"}}
MICROSECONDS = {"rate": 300_000, "gaps": {"every": "0.003ms", "for": "0.001ms"}}


def of(*entries: Body) -> Body:
    return {"version": 2, "scenarios": [ENTRY | entry for entry in entries]}


@pytest.mark.parametrize(
    ("body", "query"),
    [
        pytest.param(of(SILENT_FOR_YEARS | {"backfill": "3650d"}), "", id="a history without a tick"),
        pytest.param(
            of(MICROSECONDS),
            f"segment=1/1&resume=true&start_at={time.time() - 80_000:.0f}",
            id="a hole of many windows",
        ),
        pytest.param(
            of(
                {"id": "fast", "rate": 1e15},
                {"phase_offset": "1s", "duration": "1h", "while": {"ref": "fast", "op": ">", "value": 0}},
            ),
            "segment=1/1",
            id="an upstream of many ticks",
        ),
        pytest.param(
            of(
                {"id": "fast", "rate": 300_000, "generator": {"type": "sequence", "values": [0, 1]}},
                {"rate": 1, "duration": "24h", "while": {"ref": "fast", "op": ">", "value": 0}},
            ),
            f"segment=1/1&resume=true&start_at={time.time() - 80_000:.0f}",
            id="a gate that opens and closes without end",
        ),
    ],
)
def test_it_stops_when_it_is_told_to(shared_server: LiveServer, body: Body, query: str) -> None:
    """And what runs in the same process goes on meanwhile."""
    (beside,) = shared_server.launch(of({"rate": 20}))
    answer = shared_server.post(body, f"/scenarios?{query}")
    assert answer.status_code == 201, answer.text
    launched = answer.json().get("scenarios", [answer.json()])
    events = shared_server.stats(beside["id"])["total_events"]
    shared_server.wait_for_events(beside["id"], events + 20)
    for scenario in launched:
        stopped = shared_server.delete(f"/scenarios/{scenario['id']}").json()
        assert stopped["status"] == "stopped", stopped
    assert shared_server.delete(f"/scenarios/{beside['id']}").json()["status"] == "stopped"
