"""A daemon that is killed a hundred times: what its scenarios have written is what they would have written."""

import itertools
import random
import signal
from pathlib import Path
from typing import Any

from tests.conftest import StartServer
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.receiver import Receiver

KILLS = 100
RATE = 40


def entry(name: str, sink: dict[str, Any], **fields: Any) -> dict[str, Any]:
    generator = {"type": "step", "step_size": 1.0}
    return {"signal_type": "metrics", "name": name, "rate": RATE, "generator": generator, "sink": sink} | fields


def to_file(folder: Path, name: str, **fields: Any) -> dict[str, Any]:
    return entry(name, {"type": "file", "path": str(folder / name)}, encoder={"type": "prometheus_text"}, **fields)


def numbers(content: bytes) -> list[int]:
    return [int(float(line.split()[1])) for line in content.splitlines()]


def is_settled(server: LiveServer, count: int) -> bool:
    return len(server.get("/scenarios").json()["scenarios"]) == count


def test_a_hundred_kills(start_server: StartServer, tmp_path: Path) -> None:
    """At random instants, of the daemon alone or of all its processes at once, while starting too.

    With `fill` the files have every tick once; with `hole` every tick outside the holes that the scenario names; the
    receiver has every tick at least once, in order but for what is sent again.
    """
    drawn = random.Random(20_26)
    state = ("--state-dir", str(tmp_path / "state"))
    with Receiver() as receiver:
        push = {"type": "http_push", "url": receiver.url, "batch_size": 2000, "max_buffer_age": "200ms"}
        body = {
            "version": 2,
            "scenarios": [
                to_file(tmp_path, "filled", on_restart="fill"),
                to_file(tmp_path, "missed"),
                to_file(tmp_path, "shared_filled", on_restart="fill", isolation="shared"),
                to_file(tmp_path, "shared_missed", isolation="shared"),
                to_file(tmp_path, "fast_filled", on_restart="fill", rate=5000),
                entry("pushed", push, on_restart="fill", encoder={"type": "prometheus_text"}),
            ],
        }
        server = start_server(*state)
        launched = {one["name"]: one["id"] for one in server.launch(body)}
        for _ in range(KILLS):
            drawn_secs = drawn.uniform(0, 0.8)
            started = server.stats(launched["fast_filled"])["total_events"] if is_settled(server, 6) else 0
            if started and drawn_secs > 0.2:
                server.wait_for_events(launched["fast_filled"], started + int(drawn_secs * 2000))
            if drawn.random() < 0.5:
                server.stop(signal.SIGKILL)
            else:
                server.kill()
            server.close()
            server = start_server(*state)
        wait_until(lambda: is_settled(server, 6), "all are there again")
        for name in launched:
            total = server.stats(launched[name])["total_events"]
            server.wait_for_events(launched[name], total + 20)
        holes = {name: server.get(f"/scenarios/{launched[name]}").json().get("holes", []) for name in launched}
        for name in launched:
            assert server.delete(f"/scenarios/{launched[name]}").json()["status"] == "stopped"
        for name in ("filled", "shared_filled", "fast_filled"):
            found = numbers((tmp_path / name).read_bytes())
            assert found == list(range(len(found))), name
            assert holes[name] == []
        for name in ("missed", "shared_missed"):
            found = numbers((tmp_path / name).read_bytes())
            assert found == sorted(set(found)), name
            assert found[-1] + 1 - len(found) == sum(hole["missed_ticks"] for hole in holes[name]), name
        pushed = numbers(b"".join(request.body for request in receiver.requests))
        assert set(pushed) == set(range(max(pushed) + 1))
        again = sum(1 for one, following in itertools.pairwise(pushed) if following <= one)
        assert again <= KILLS
