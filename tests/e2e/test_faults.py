"""What goes wrong stays where it goes wrong: killed processes, wedged sinks, full disks, many starts and stops."""

import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import StartServer
from tests.support.live_server import STOP_SECS, LiveServer
from tests.support.polling import wait_until
from tests.support.processes import has_ended, title_of

LINE = re.compile(rb'\w+\{host="h"\} (\d+) \d{13}')
SPARE = "sondad: worker (spare)"


def counting(name: str, rate: float, sink: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an entry whose values are the numbers of its ticks, so that a missing line shows."""
    return {
        "id": name,
        "signal_type": "metrics",
        "name": name,
        "rate": rate,
        "labels": {"host": "h"},
        "generator": {"type": "step", "step_size": 1},
        "sink": sink,
        **more,
    }


def body(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"version": 2, "scenarios": list(entries)}


def whole_lines(path: Path) -> int:
    """Return how many lines the file has, all of them whole and with the values 0, 1, 2, …."""
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b"", "the last line is torn"
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches)
    assert [int(match[1]) for match in matches if match] == list(range(len(lines)))
    return len(lines)


def titled(server: LiveServer, title: str) -> list[psutil.Process]:
    """Return the daemon's processes whose title begins with `title`."""
    return [process for process in server.descendants() if title_of(process).startswith(title)]


def worker_of(server: LiveServer, name: str) -> psutil.Process:
    return wait_until(lambda: titled(server, f"sondad: scenario {name} "), f"a worker for {name}")[0]


def test_sigkill_of_a_worker_is_one_scenarios_affair(start_server: StartServer, tmp_path: Path) -> None:
    """The reason is readable, the counters stay, the other scenario goes on, the pool is refilled."""
    server = start_server("--allow-path", str(tmp_path))
    spares = wait_until(lambda: len(titled(server, SPARE)), "warm spares")
    victim, other = server.launch(
        body(*(counting(name, 1_000, {"type": "file", "path": str(tmp_path / name)}) for name in ("victim", "other")))
    )
    server.wait_for_events(victim["id"], 100)
    worker_of(server, "victim").kill()

    detail = wait_until(
        lambda: (seen := server.get(f"/scenarios/{victim['id']}").json())["state"] == "finished" and seen,
        "the victim is finished",
    )
    assert "SIGKILL" in detail["exit_reason"]
    assert detail["stats"]["total_events"] >= 100
    assert len([line for line in server.wait_for_log("SIGKILL") if victim["id"] in line]) == 1
    before = server.stats(other["id"])["total_events"]
    server.wait_for_events(other["id"], before + 1_000)
    assert server.stats(other["id"])["errors"] == 0
    wait_until(lambda: len(titled(server, SPARE)) >= spares, "the pool is full again")

    assert server.delete(f"/scenarios/{victim['id']}").json()["status"] == "stopped"
    final = server.delete(f"/scenarios/{other['id']}").json()["total_events"]
    assert whole_lines(tmp_path / "other") == final
    assert whole_lines(tmp_path / "victim") >= detail["stats"]["total_events"]


def test_a_killed_spare_is_replaced(start_server: StartServer) -> None:
    """A warm worker that dies before it has a scenario is replaced, and the next POST does not notice."""
    server = start_server()
    spares = wait_until(lambda: titled(server, SPARE), "warm spares")
    for spare in spares:
        spare.kill()
    (row,) = server.launch(body(counting("survivor", 100, {"type": "memory"})))
    server.wait_for_events(row["id"], 10)
    wait_until(lambda: len(titled(server, SPARE)) >= len(spares), "the pool is full again")


def test_sigkill_of_the_supervisor_leaves_nothing(start_server: StartServer, tmp_path: Path) -> None:
    """Within two seconds no process is left, stdout is closed, no file ends in half a line."""
    server = start_server("--allow-path", str(tmp_path), piped_stdout=True)
    printed: list[bytes] = []
    reader = threading.Thread(target=lambda: printed.extend(iter(lambda: server.stdout.read(1 << 16), b"")))
    reader.start()
    files = [tmp_path / name for name in ("a", "b", "c")]
    rows = server.launch(
        body(
            counting("printed", 20_000, {"type": "stdout"}),
            *(counting(path.name, 50_000, {"type": "file", "path": str(path)}) for path in files),
        )
    )
    for row in rows:
        server.wait_for_events(row["id"], 10_000)
    seen = {row["name"]: server.stats(row["id"])["total_events"] for row in rows}

    server.process.kill()
    server.process.wait(STOP_SECS)
    server.assert_nothing_left()
    reader.join(30)
    assert not reader.is_alive(), "a process still holds the stdout pipe"
    for path in files:
        assert whole_lines(path) >= seen[path.name]
    path = tmp_path / "printed"
    path.write_bytes(b"".join(printed))
    assert whole_lines(path) >= seen["printed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_nothing(start_server: StartServer, tmp_path: Path, number: signal.Signals) -> None:
    """The daemon leaves with 0 within six seconds, and each file holds exactly `total_events` whole lines."""
    server = start_server("--allow-path", str(tmp_path))
    files = [tmp_path / f"load{index}" for index in range(4)]
    rows = server.launch(body(*(counting(path.name, 100_000, {"type": "file", "path": str(path)}) for path in files)))
    for row in rows:
        server.wait_for_events(row["id"], 50_000)
    seen = {row["name"]: server.stats(row["id"])["total_events"] for row in rows}

    assert server.stop(number) == 0
    for path in files:
        (joined,) = [line for line in server.log_lines("scenario task joined") if f"={path.name} " in f"{line} "]
        total = re.search(r"total_events=(\d+)", joined)
        assert total, joined
        assert whole_lines(path) == int(total[1]) >= seen[path.name]


def test_delete_answers_when_everything_is_in_the_file(shared_server: LiveServer, tmp_path: Path) -> None:
    """`total_events` of the answer to DELETE is the number of lines in the file, at once."""
    server = shared_server
    path = tmp_path / "deleted"
    (row,) = server.launch(body(counting("deleted", 200_000, {"type": "file", "path": str(path)})))
    server.wait_for_events(row["id"], 50_000)
    answer = server.delete(f"/scenarios/{row['id']}")
    assert answer.json() == {"id": row["id"], "status": "stopped", "total_events": whole_lines(path)}


@pytest.fixture
def silent_peer() -> Iterator[str]:
    """A TCP server that accepts connections and never reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted = []

        def accept() -> None:
            while True:
                try:
                    accepted.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(30)
        for connection in accepted:
            connection.close()


def test_a_peer_that_never_reads_holds_up_nobody_else(
    shared_server: LiveServer, tmp_path: Path, silent_peer: str
) -> None:
    """Its own scenario stops advancing; others, health and stats do not notice; DELETE ends its worker."""
    server = shared_server
    wedged, other = server.launch(
        body(
            counting("wedged", 1_000_000, {"type": "tcp", "address": silent_peer}),
            counting("other", 1_000, {"type": "file", "path": str(tmp_path / "other")}),
        )
    )
    server.wait_for_events(wedged["id"], 1)

    def stalled() -> bool:
        before = server.stats(wedged["id"])["total_events"]
        time.sleep(0.3)  # an interval without a single event is what is looked for
        return server.stats(wedged["id"])["total_events"] == before

    wait_until(stalled, "the socket's buffers are full", timeout_secs=30)
    before = server.stats(other["id"])["total_events"]
    server.wait_for_events(other["id"], before + 500)
    assert server.get("/health").status_code == 200
    assert server.get(f"/scenarios/{wedged['id']}").json()["state"] == "running"

    worker = worker_of(server, "wedged")
    answer = server.delete(f"/scenarios/{wedged['id']}")
    assert answer.status_code == 200
    assert answer.json()["status"] in ("stopped", "force_stopped")
    assert has_ended(worker)
    (after,) = server.get("/scenarios").json()["scenarios"]
    assert after["id"] == other["id"]


def test_a_full_disk_is_counted_and_survived(shared_server: LiveServer, small_disk: Path) -> None:
    """Failures show in the stats while the scenario lives on; with room again it writes again, whole lines only."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_600_000))
    path = small_disk / "events"
    server = shared_server
    (row,) = server.launch(body(counting("full", 5_000, {"type": "file", "path": str(path)})))
    full = wait_until(
        lambda: (stats := server.stats(row["id"]))["consecutive_failures"] > 0 and stats, "the disk is full"
    )
    assert full["state"] == "running"
    assert full["last_sink_error"] == "No space left on device (os error 28)"
    worker = worker_of(server, "full")

    ballast.unlink()
    again = wait_until(
        lambda: (stats := server.stats(row["id"]))["consecutive_failures"] == 0 and stats, "writing goes on"
    )
    assert again["total_events"] > full["total_events"]
    assert again["total_sink_failures"] >= full["total_sink_failures"]
    assert not has_ended(worker)

    total = server.delete(f"/scenarios/{row['id']}").json()["total_events"]
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    values = [int(match[1]) for line in lines if (match := LINE.fullmatch(line))]
    assert len(values) == len(lines) == total
    # What was lost is one hole in the numbers, and nothing was written twice.
    assert values == sorted(set(values))
    assert values[-1] >= total
