"""A minute of a thousand scenarios in shared workers, of which one is killed every few seconds."""

import random
import re
import time
from pathlib import Path

import psutil

from tests.conftest import StartServer
from tests.support.exposition_reading import samples
from tests.support.live_server import Json, LiveServer
from tests.support.polling import wait_until
from tests.support.processes import title_of

ENTRIES = 1000
RATE = 20
SECS = 60


def entry(number: int, directory: Path) -> Json:
    return {
        "id": f"e{number}",
        "signal_type": "metrics",
        "name": f"e{number}",
        "rate": RATE,
        "generator": {"type": "step", "step_size": 1},
        "sink": {"type": "file", "path": str(directory / f"e{number}")},
    }


def hosts(server: LiveServer) -> list[psutil.Process]:
    return [one for one in server.descendants() if re.match(r"sondad: worker \(\d+ scenarios\)", title_of(one))]


def test_every_tick_is_written_outside_the_holes_that_are_told(start_server: StartServer, tmp_path: Path) -> None:
    """Each goes on once and names its hole; whose second worker goes as well has ended, and says why."""
    server = start_server("--isolation", "shared")
    rows = []
    for first in range(0, ENTRIES, 100):
        body = {"version": 2, "scenarios": [entry(first + number, tmp_path) for number in range(100)]}
        rows += server.launch(body)
    chance = random.Random(13)
    kills = 0
    until = time.monotonic() + SECS
    while time.monotonic() < until:
        victim = chance.choice(hosts(server))
        victim.kill()
        kills += 1
        time.sleep(chance.uniform(1, 4))  # what the next kill meets is the drill
    wait_until(lambda: settled(server, rows), "all go on or have ended", timeout_secs=60)
    restarted = ended = 0
    for row in rows:
        before = server.get(f"/scenarios/{row['id']}").json()
        deleted = server.delete(f"/scenarios/{row['id']}").json()
        lines = (tmp_path / row["name"]).read_bytes().split(b"\n")
        rest = lines.pop()
        values = [int(line.split()[1]) for line in lines]
        assert values == sorted(set(values)), row["name"]
        missed = sum(hole["missed_ticks"] for hole in before.get("holes", ()))
        # One that has ended may have had no time for a tick behind its hole.
        told = {missed} if before["state"] == "running" else {missed, 0}
        assert values[-1] + 1 - len(values) in told, row["name"]
        assert all("SIGKILL" in hole["reason"] for hole in before.get("holes", ()))
        if before["state"] == "finished":
            ended += 1
            assert (before["restarts"], before["exit_reason"]) == (1, "killed by signal 9 (SIGKILL)")
            # The last writes may not have been counted when the worker went.
            assert len(values) >= deleted["total_events"]
        else:
            assert rest == b""
            assert deleted["total_events"] == len(values)
        restarted += before.get("restarts", 0)
    assert restarted > ENTRIES // 4
    assert kills > SECS // 5
    # Who was killed again before it went on has ended instead.
    total = samples(server.get("/metrics?own=1").text)["sondad_scenario_restarts_total"]
    assert restarted - ended <= total <= restarted


def settled(server: LiveServer, rows: list[Json]) -> bool:
    """Whether each has written in the last second or has ended."""
    seen = {row["id"]: row for row in server.get("/scenarios").json()["scenarios"]}
    running = [row["id"] for row in rows if seen[row["id"]]["state"] == "running"]
    before = [server.stats(one)["total_events"] for one in running]
    time.sleep(1)  # in which every one of them is due
    return all(server.stats(one)["total_events"] > events for one, events in zip(running, before, strict=True))
