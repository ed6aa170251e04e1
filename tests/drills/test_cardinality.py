"""A hundred thousand series from one entry: all of them are written, memory stays flat, scrapes stay bounded."""

from pathlib import Path

import psutil

from common.board import CURRENT_SLOTS
from tests.conftest import StartServer
from tests.support.live_server import LiveServer

SERIES = 100_000
ENTRY = {
    "signal_type": "metrics",
    "name": "session_seconds",
    "rate": 200_000,
    "generator": {"type": "step", "step_size": 1},
    "labels": {"app": "shop"},
    "dynamic_labels": [{"key": "user", "prefix": "u", "cardinality": SERIES}],
}
MIB = 1024 * 1024


def private_bytes(process: psutil.Process) -> int:
    """Memory of a process that no other one shares."""
    return int(process.memory_full_info().uss)


def launch(server: LiveServer, **fields: object) -> str:
    (row,) = server.launch({"version": 2, "scenarios": [ENTRY | fields]})
    scenario_id: str = row["id"]
    return scenario_id


def test_every_series_is_written(start_server: StartServer, tmp_path: Path) -> None:
    """One rotation writes each label set once, with the tick's own value; the next begins at the first again."""
    output = tmp_path / "out"
    server = start_server("--allow-path", str(tmp_path))
    scenario_id = launch(server, sink={"type": "file", "path": str(output)})
    server.wait_for_events(scenario_id, SERIES + 1000, 60)
    server.delete(f"/scenarios/{scenario_id}")
    with output.open() as lines:
        for tick, line in zip(range(SERIES + 1000), lines, strict=False):
            assert line.startswith(f'session_seconds{{app="shop",user="u{tick % SERIES}"}} {tick} ')
    assert tick == SERIES + 999


def test_memory_stays_flat(server: LiveServer) -> None:
    """Neither the worker nor the server grows with the series that were seen, nor with scrapes of them."""
    scenario_id = launch(server, sink={"type": "memory"})
    server.wait_for_events(scenario_id, SERIES, 60)
    server.get(f"/scenarios/{scenario_id}/metrics", params={"mode": "snapshot"})
    processes = {"worker": server.worker(scenario_id), "server": psutil.Process(server.pid)}
    before = {name: private_bytes(process) for name, process in processes.items()}
    assert before["worker"] < 64 * MIB
    server.wait_for_events(scenario_id, 6 * SERIES, 60)
    for _ in range(5):
        server.get(f"/scenarios/{scenario_id}/metrics", params={"mode": "snapshot"})
    grown = {name: private_bytes(process) - before[name] for name, process in processes.items()}
    assert grown["worker"] < 4 * MIB
    assert grown["server"] < 32 * MIB


def test_scrapes_stay_bounded(server: LiveServer) -> None:
    """A scrape takes the newest thousand samples, a snapshot has the newest value of as many series as have room."""
    scenario_id = launch(server, sink={"type": "memory"})
    server.wait_for_events(scenario_id, 2 * SERIES, 60)
    drained = server.get(f"/scenarios/{scenario_id}/metrics", params={"limit": "1000"}).text.splitlines()
    assert len(drained) == 1000
    assert len({line.split()[0] for line in drained}) == 1000
    shown = server.get(f"/scenarios/{scenario_id}/metrics", params={"mode": "snapshot"}).text.splitlines()
    assert shown[1] == "# TYPE session_seconds counter"
    series = [line.split()[0] for line in shown[2:]]
    assert len(series) == len(set(series)) == CURRENT_SLOTS
    assert series == sorted(series)
