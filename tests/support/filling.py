"""Launching scenarios until a limit refuses one, and seeing that the daemon outlives that."""

from typing import Any

from tests.support.live_server import LiveServer
from tests.support.polling import wait_until


def steady(name: str, rate: float = 20.0, **changes: Any) -> dict[str, Any]:
    """Return an entry that writes one value again and again, to memory unless told otherwise."""
    return {
        "name": name,
        "signal_type": "metrics",
        "rate": rate,
        "generator": {"type": "constant", "value": 1.0},
        "sink": {"type": "memory"},
        **changes,
    }


def body_of(*entries: dict[str, Any]) -> dict[str, Any]:
    """Return a body of these entries."""
    return {"version": 2, "scenarios": list(entries)}


def fill(server: LiveServer, most: int) -> tuple[list[str], str]:
    """Launch one scenario after the other until one is refused; returns the ids and what the refusal says."""
    launched = []
    for index in range(most):
        answer = server.post(body_of(steady(f"s{index}", rate=1.0)))
        if answer.status_code != 201:
            assert answer.status_code == 500, answer.text
            return launched, answer.json()["detail"]
        launched.append(answer.json()["id"])
    raise AssertionError(f"{most} scenarios were launched and nothing ran out")


def outlives(server: LiveServer, launched: list[str]) -> None:
    """All that was launched runs on, the probe answers, and there is room again after a DELETE."""
    assert server.get("/health").status_code == 200
    before = {one: server.stats(one)["total_events"] for one in launched}
    for one, events in before.items():
        assert server.wait_for_events(one, events + 1)["state"] == "running"
    for one in launched[:6]:
        assert server.delete(f"/scenarios/{one}").status_code == 200
    wait_until(lambda: server.post(body_of(steady("again"))).status_code == 201, "there is room again")
    for one in launched[6:]:
        assert server.stats(one)["state"] == "running"
