"""A daemon that is killed while it changes its scenarios: each change holds whole, from its tick on, or not at all."""

import itertools
import random
import signal
import threading
from pathlib import Path
from typing import Any

import requests

from tests.conftest import StartServer
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

KILLS = 40
RATES = (20, 40, 50, 100)


def entry(path: Path, **fields: Any) -> dict[str, Any]:
    return {
        "signal_type": "metrics",
        "name": path.name,
        "rate": 50,
        "generator": {"type": "step", "step_size": 1.0},
        "labels": {"change": "none"},
        "encoder": {"type": "prometheus_text"},
        "sink": {"type": "file", "path": str(path)},
        "on_restart": "fill",
    } | fields


def is_settled(server: LiveServer, count: int) -> bool:
    return len(server.get("/scenarios").json()["scenarios"]) == count


def check(path: Path, retunes: list[dict[str, Any]]) -> None:
    """Every tick stands there once, with the labels and at the instant that the changes before it give."""
    lines = [line.rsplit(" ", 2) for line in path.read_text().splitlines()]
    assert [int(float(value)) for _, value, _ in lines] == list(range(len(lines)))
    begin_ms = int(lines[0][2])
    first, due_ms, per_tick, label = 0, 0, 20, "none"
    following = iter([*retunes, None])
    retune = next(following)
    for tick, (series, _, stamp) in enumerate(lines):
        while retune is not None and tick == retune["tick"]:
            due_ms += (tick - first) * per_tick
            first, per_tick = tick, round(1000 / retune["changes"].get("rate", 1000 / per_tick))
            label = retune["changes"].get("labels", {"change": label})["change"]
            retune = next(following)
        assert series == f'{path.name}{{change="{label}"}}'
        assert int(stamp) - begin_ms == due_ms + (tick - first) * per_tick
    assert retune is None


def test_changes_under_kills(start_server: StartServer, tmp_path: Path) -> None:
    """Right behind the answer, or while the change is under way; what was answered holds whatever comes."""
    drawn, numbers = random.Random(20_26), itertools.count()
    state = "--state-dir", str(tmp_path / "state")
    paths = [tmp_path / "own", tmp_path / "guest"]
    server = start_server(*state)
    body = {"version": 2, "scenarios": [entry(paths[0]), entry(paths[1], isolation="shared")]}
    launched = {one["name"]: one["id"] for one in server.launch(body)}
    answered: dict[str, list[dict[str, Any]]] = {name: [] for name in launched}
    for _ in range(KILLS):
        name = drawn.choice(list(launched))
        patch = {"rate": drawn.choice(RATES), "labels": {"change": str(next(numbers))}}

        def change(server: LiveServer = server, name: str = name, patch: dict[str, Any] = patch) -> None:
            try:
                answer = server.request("PATCH", f"/scenarios/{launched[name]}", json=patch)
            except requests.RequestException:
                return
            if answer.ok:
                answered[name].append(answer.json())

        changing = threading.Thread(target=change)
        changing.start()
        if drawn.random() < 0.5:
            changing.join()
        else:
            changing.join(drawn.uniform(0, 0.03))
        server.stop(signal.SIGKILL) if drawn.random() < 0.5 else server.kill()
        changing.join()
        server.close()
        server = start_server(*state)
        wait_until(lambda server=server: is_settled(server, 2), "all are there again")
        server.wait_for_events(launched[name], server.stats(launched[name])["total_events"] + 2)
    for path in paths:
        retunes = server.get(f"/scenarios/{launched[path.name]}").json().get("retunes", [])
        last = retunes[-1]["tick"] if retunes else 0
        server.wait_for_events(launched[path.name], last + 10)
        assert server.delete(f"/scenarios/{launched[path.name]}").json()["status"] == "stopped"
        kept = [(one["tick"], one["changes"]) for one in retunes]
        assert all((one["tick"], one["changes"]) in kept for one in answered[path.name])
        check(path, retunes)
    assert sum(map(len, answered.values())) > KILLS // 4
