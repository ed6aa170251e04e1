"""A catalog on the disk, and a daemon that starts what is in it."""

import json
from pathlib import Path
from typing import Any

from tests.support.live_server import LiveServer
from tests.support.polling import wait_until


def write(directory: Path, name: str, *, rows: int = 1, **head: Any) -> Path:
    """Write a runnable file of so many metrics; `head` changes its outermost fields."""
    entries = [
        {
            "id": f"e{index}",
            "signal_type": "metrics",
            "name": f"m{index}",
            "rate": 10,
            "generator": {"type": "constant", "value": 1.0},
            "sink": {"type": "memory"},
        }
        for index in range(rows)
    ]
    body = {"version": 2, "kind": "runnable", "scenario_name": name, "scenarios": entries}
    path = directory / f"{name}.yaml"
    path.write_text(json.dumps(body | head))
    return path


def wait_until_ready(server: LiveServer, timeout_secs: float = 30) -> dict[str, Any]:
    """Wait for the end of the sweep; returns what `GET /ready` says then."""
    wait_until(lambda: server.get("/ready").status_code == 200, "the sweep has ended", timeout_secs)
    # Readiness comes first, then the line; behind it no other line of the sweep can come.
    wait_until(lambda: server.log_lines("autostart: started"), "the line that says so")
    return server.get("/ready").json()
