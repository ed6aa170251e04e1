"""Gates over HTTP: what clients see of a body whose entries wait for each other, and for other bodies."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.processes import frozen

Json = dict[str, Any]


def source(entry_id: str, generator: Json, rate: float = 20, **fields: Any) -> Json:
    return {
        "id": entry_id,
        "signal_type": "metrics",
        "name": entry_id,
        "rate": rate,
        "generator": generator,
        "sink": {"type": "memory"},
        **fields,
    }


def constant(value: float) -> Json:
    return {"type": "constant", "value": value}


def gated(entry_id: str, gate: Json, **fields: Any) -> Json:
    step = {"type": "step", "step_size": 1}
    return source(entry_id, step, rate=100, **{"duration": "1h", "while": {"op": ">", "value": 0.5} | gate} | fields)


def body(*entries: Json, name: str | None = None) -> Json:
    return {"version": 2, "scenarios": list(entries), **({"scenario_name": name} if name else {})}


def test_the_life_of_a_gate_across_bodies(shared_server: LiveServer) -> None:
    """Unresolved, running, unresolved again when the other entry is deleted, paused by the next one; then no more."""
    (down,) = shared_server.launch(body(gated("down", {"ref": "up", "scenario_name": "core"}), name="edge"))
    assert down["state"] == "unresolved"
    detail = shared_server.get(f"/scenarios/{down['id']}").json()
    registered = detail["pending_ref"].pop("registered_at")
    assert detail["pending_ref"] == {
        "scenario_name": "core",
        "entry_id": "up",
        "if_unresolved": "pending",
        "attempts": 0,
    }
    up, other = shared_server.launch(body(source("up", constant(1)), source("other", constant(1)), name="core"))
    shared_server.wait_for_state(down["id"], "running")
    shared_server.wait_for_events(down["id"], 3)
    assert "pending_ref" not in shared_server.get(f"/scenarios/{down['id']}").json()
    shared_server.delete(f"/scenarios/{up['id']}")
    stats = shared_server.wait_for_state(down["id"], "unresolved")
    assert stats["cumulative_resolution_attempts"] == 1
    assert stats["current_rate"] == 0.0
    pending = shared_server.get(f"/scenarios/{down['id']}").json()["pending_ref"]
    assert (pending["registered_at"], pending["attempts"]) == (registered, 1)
    assert shared_server.stats(other["id"])["state"] == "running"
    shared_server.delete(f"/scenarios/{other['id']}")
    shared_server.launch(body(source("up", constant(0)), name="core"))
    assert shared_server.wait_for_state(down["id"], "paused")["cumulative_resolution_attempts"] == 2
    assert shared_server.delete(f"/scenarios/{down['id']}").json()["status"] == "stopped"


def test_strict_refuses_what_would_wait(shared_server: LiveServer) -> None:
    """422 with the gates that have nothing to watch, and nothing is launched; with the upstream there, 201."""
    waiting = body(gated("down", {"ref": "up", "scenario_name": "core"}))
    waiting["scenario_name"] = "edge"
    answer = shared_server.post(waiting, "/scenarios?validate=strict")
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "unresolved_refs",
        "unresolved_refs": [{"scenario_name": "core", "entry_id": "up", "referenced_by": "down"}],
    }
    assert shared_server.get("/scenarios").json() == {"scenarios": []}
    shared_server.launch(body(source("up", constant(1)), name="core"))
    answer = shared_server.post(waiting, "/scenarios?validate=strict")
    assert (answer.status_code, answer.json()["state"]) == (201, "pending")


def test_held_after_a_last_sample(shared_server: LiveServer, tmp_path: Path) -> None:
    """The file ends with the value of `snap_to`; the scrape goes on to show the last value that was emitted."""
    server = shared_server
    path = tmp_path / "down.json"
    down = gated(
        "down",
        {"ref": "up"},
        delay={"close": {"snap_to": -1}},
        encoder={"type": "json_lines"},
        sink={"type": "file", "path": str(path)},
    )
    up, row = server.launch(body(source("up", constant(1)), down))
    assert row["state"] == "pending"
    server.wait_for_events(row["id"])
    assert server.request("PATCH", f"/scenarios/{up['id']}", json={"generator": {"value": 0}}).status_code == 200
    stats = server.wait_for_state(row["id"], "held")
    *lines, last = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == stats["total_events"]
    assert last["value"] == -1
    assert last["timestamp"] > lines[-1]["timestamp"]
    scraped = server.get("/scenarios/metrics?include_state=held").text
    assert f"down {lines[-1]['value']:g}\n" in scraped


def test_edges_do_not_pass_through_the_supervisor(shared_server: LiveServer, tmp_path: Path) -> None:
    """While the daemon itself stands still, its workers go on opening and closing each other's gates."""
    server = shared_server
    path = tmp_path / "down.prom"
    flapping = {"type": "sequence", "values": [1, 0]}
    sink = {"type": "file", "path": str(path)}
    server.launch(body(source("up", flapping, rate=10), gated("down", {"ref": "up"}, sink=sink)))

    def openings() -> int:
        stamps = [int(line.split()[2]) for line in path.read_text().splitlines() if line.count(" ") == 2]
        return sum(after - before > 50 for before, after in pairwise(stamps))

    wait_until(lambda: path.exists() and openings(), "the gate opens again")
    with frozen(server.pid):
        seen = openings()
        wait_until(lambda: openings() >= seen + 5, "the gate opens five times more")
