"""A daemon that is killed a hundred times: what its scenarios have written is what they would have written."""

import itertools
import random
import signal
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import StartServer
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.receiver import Receiver

KILLS = 100
RATE = 40
CONSTANT = {"type": "constant", "value": 1.0}
OPEN = {"ref": "upstream", "op": ">", "value": 0.5}


def entry(name: str, sink: dict[str, Any], **fields: Any) -> dict[str, Any]:
    generator = {"type": "step", "step_size": 1.0}
    return {"signal_type": "metrics", "name": name, "rate": RATE, "generator": generator, "sink": sink} | fields


def to_file(folder: Path, name: str, **fields: Any) -> dict[str, Any]:
    return entry(name, {"type": "file", "path": str(folder / name)}, encoder={"type": "prometheus_text"}, **fields)


def numbers(content: bytes) -> list[int]:
    return [int(float(line.split()[1])) for line in content.splitlines()]


@contextmanager
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """An address that takes connections, and the whole lines that came over them."""
    lines: list[bytes] = []

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            lines.extend(line for line in self.rfile if line.endswith(b"\n"))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}", lines
        server.shutdown()
        thread.join()


def assert_all_arrived(received: list[int]) -> None:
    """Every tick came at least once, in order but for what was sent again after a kill."""
    assert set(received) == set(range(max(received) + 1))
    again = sum(1 for one, following in itertools.pairwise(received) if following <= one)
    assert again <= KILLS


def is_settled(server: LiveServer, count: int) -> bool:
    return len(server.get("/scenarios").json()["scenarios"]) == count


def test_a_hundred_kills(start_server: StartServer, tmp_path: Path) -> None:
    """At random instants, of the daemon alone or of all its processes at once, while starting too.

    With `fill` the files have every tick once, that of an open gate too; with `hole` every tick outside the holes that
    the scenario names; what was sent over sockets has every tick at least once, in order but for what is sent again.
    """
    drawn = random.Random(20_26)
    state = ("--state-dir", str(tmp_path / "state"))
    with Receiver() as receiver, listening() as (address, lines):
        push = {"type": "http_push", "url": receiver.url, "batch_size": 2000, "max_buffer_age": "200ms"}
        tcp = {"type": "tcp", "address": address}
        body = {
            "version": 2,
            "scenarios": [
                to_file(tmp_path, "filled", on_restart="fill"),
                to_file(tmp_path, "missed"),
                to_file(tmp_path, "shared_filled", on_restart="fill", isolation="shared"),
                to_file(tmp_path, "shared_missed", isolation="shared"),
                to_file(tmp_path, "fast_filled", on_restart="fill", rate=5000),
                entry("pushed", push, on_restart="fill", encoder={"type": "prometheus_text"}),
                entry("sent", tcp, on_restart="fill", encoder={"type": "prometheus_text"}),
                to_file(tmp_path, "upstream", id="upstream", generator=CONSTANT),
                to_file(tmp_path, "gated", on_restart="fill", duration="2h", **{"while": OPEN}),
            ],
        }
        server = start_server(*state)
        launched = {one["name"]: one["id"] for one in server.launch(body)}
        server.wait_for_events(launched["gated"], 1)
        for _ in range(KILLS):
            drawn_secs = drawn.uniform(0, 0.8)
            started = server.stats(launched["fast_filled"])["total_events"] if is_settled(server, len(launched)) else 0
            if started and drawn_secs > 0.2:
                server.wait_for_events(launched["fast_filled"], started + int(drawn_secs * 2000))
            if drawn.random() < 0.5:
                server.stop(signal.SIGKILL)
            else:
                server.kill()
            server.close()
            server = start_server(*state)
        wait_until(lambda: is_settled(server, len(launched)), "all are there again")
        for name in launched:
            total = server.stats(launched[name])["total_events"]
            server.wait_for_events(launched[name], total + 20)
        holes = {name: server.get(f"/scenarios/{launched[name]}").json().get("holes", []) for name in launched}
        for name in launched:
            assert server.delete(f"/scenarios/{launched[name]}").json()["status"] == "stopped"
        for name in ("filled", "shared_filled", "fast_filled", "gated"):
            found = numbers((tmp_path / name).read_bytes())
            assert found == list(range(len(found))), name
            assert holes[name] == []
        for name in ("missed", "shared_missed"):
            found = numbers((tmp_path / name).read_bytes())
            assert found == sorted(set(found)), name
            assert found[-1] + 1 - len(found) == sum(hole["missed_ticks"] for hole in holes[name]), name
        assert_all_arrived(numbers(b"".join(request.body for request in receiver.requests)))
        assert_all_arrived(numbers(b"".join(lines)))
