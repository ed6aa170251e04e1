"""Scenarios that share a worker, seen from outside: who runs where, and that each is alone all the same."""

import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import StartServer
from tests.support.live_server import Json, LiveServer
from tests.support.polling import wait_until
from tests.support.processes import freeze, title_of
from tests.support.receiver import Receiver

STEP = {"type": "step", "step_size": 1}


def entry(name: str, sink: Json, rate: float = 200, **fields: Any) -> Json:
    return {"id": name, "signal_type": "metrics", "name": name, "rate": rate, "generator": STEP, "sink": sink, **fields}


def to_file(path: Path) -> Json:
    return {"type": "file", "path": str(path)}


def body(*entries: Json, **defaults: Any) -> Json:
    return {"version": 2, "kind": "runnable", "defaults": defaults, "scenarios": list(entries)}


def hosts(server: LiveServer) -> dict[psutil.Process, int]:
    """The workers that host scenarios, and how many each has."""
    found = {}
    for process in server.descendants():
        if match := re.match(r"sondad: worker \((\d+) scenarios\)", title_of(process)):
            found[process] = int(match[1])
    return found


def lines_of(path: Path) -> list[bytes]:
    """The whole lines of a file."""
    return path.read_bytes().split(b"\n")[:-1]


def whole_lines(path: Path) -> int:
    """Return how many lines the file has; its values must be 0, 1, 2, …, its last line whole."""
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [int(line.split()[1]) for line in lines] == list(range(len(lines)))
    return len(lines)


def test_shared_entries_run_in_one_process_and_end_apart(shared_server: LiveServer, tmp_path: Path) -> None:
    """One is deleted, one ends by itself, one fails; the others go on, and the process exits with the last one."""
    entries = [entry(name, to_file(tmp_path / name)) for name in "abc"]
    short = entry("short", to_file(tmp_path / "short"), duration="300ms")
    broken = entry("broken", to_file(tmp_path))
    own = entry("own", to_file(tmp_path / "own"), isolation="process")
    rows = {
        row["name"]: row["id"] for row in shared_server.launch(body(*entries, short, broken, own, isolation="shared"))
    }
    for name in "abc":
        shared_server.wait_for_events(rows[name], 10)
    shared_server.wait_for_state(rows["short"], "finished")
    shared_server.wait_for_state(rows["broken"], "finished")
    assert "Is a directory" in shared_server.get(f"/scenarios/{rows['broken']}").json()["exit_reason"]
    assert "exit_reason" not in shared_server.get(f"/scenarios/{rows['short']}").json()
    wait_until(lambda: list(hosts(shared_server).values()) == [3], "one process has the other three")
    assert shared_server.worker(rows["own"]).pid not in {process.pid for process in hosts(shared_server)}
    deleted = shared_server.delete(f"/scenarios/{rows['a']}").json()
    assert (deleted["status"], deleted["total_events"]) == ("stopped", whole_lines(tmp_path / "a"))
    seen = shared_server.stats(rows["b"])["total_events"]
    shared_server.wait_for_events(rows["b"], seen + 20)
    for name in "bc":
        total = shared_server.delete(f"/scenarios/{rows[name]}").json()["total_events"]
        assert total == whole_lines(tmp_path / name)
    wait_until(lambda: not hosts(shared_server), "the process has exited")
    assert shared_server.stats(rows["own"])["state"] == "running"


def test_a_daemon_may_share_by_default_up_to_a_number(start_server: StartServer, tmp_path: Path) -> None:
    """Two in a process; an entry that says otherwise, or is too fast, has its own; those that come later fill up."""
    server = start_server("--isolation", "shared", "--per-worker", "2")
    entries = [entry(name, to_file(tmp_path / name)) for name in "abc"]
    rows = server.launch(body(*entries, entry("own", to_file(tmp_path / "own"), isolation="process")))
    assert len(rows) == 4
    wait_until(lambda: sorted(hosts(server).values()) == [1, 2], "two processes have three")
    before = set(hosts(server))
    server.launch(body(entry("d", to_file(tmp_path / "d"))))
    wait_until(lambda: sorted(hosts(server).values()) == [2, 2], "the fourth has filled up the second")
    assert set(hosts(server)) == before
    answer = server.post(body(entry("fast", to_file(tmp_path / "fast"), rate=1e6, duration="50ms", isolation="shared")))
    assert answer.status_code == 201
    assert "gets a process of its own" in answer.text
    assert sorted(hosts(server).values()) == [2, 2]


@pytest.mark.parametrize(("up", "down"), [("shared", "shared"), ("shared", "process"), ("process", "shared")])
def test_gates_hold_wherever_the_two_run(shared_server: LiveServer, tmp_path: Path, up: str, down: str) -> None:
    """In one process and across; the downstream ends with its upstream."""
    gate = {"while": {"ref": "up", "op": ">", "value": 0.5}}
    pulse = {"type": "sequence", "values": [0, 1], "repeat": True}
    upstream = entry("up", to_file(tmp_path / "up"), rate=20, isolation=up) | {"generator": pulse}
    downstream = entry("down", to_file(tmp_path / "down"), isolation=down, duration="1h", **gate)
    rows = {row["name"]: row["id"] for row in shared_server.launch(body(upstream, downstream))}
    for state in ("running", "paused") * 2:
        shared_server.wait_for_state(rows["down"], state)
    shared_server.delete(f"/scenarios/{rows['up']}")
    total = shared_server.wait_for_state(rows["down"], "finished")["total_events"]
    assert total == whole_lines(tmp_path / "down")


def lines_and_holes(server: LiveServer, row: Json, path: Path) -> tuple[list[int], int]:
    """The values in the file of a scenario with steps of 1, and how many ticks it says that it has missed."""
    detail = server.get(f"/scenarios/{row['id']}").json()
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    return [int(line.split()[1]) for line in lines], sum(hole["missed_ticks"] for hole in detail.get("holes", ()))


def test_entries_of_a_process_that_crashes_go_on_elsewhere(server: LiveServer, tmp_path: Path) -> None:
    """SIGKILL: each goes on at the tick that its clock says, names its hole and the reason; a second time it ends."""
    rows = server.launch(body(*(entry(name, to_file(tmp_path / name)) for name in "abc"), isolation="shared"))
    for row in rows:
        server.wait_for_events(row["id"], 5)
    (host,) = hosts(server)
    host.kill()
    for row in rows:
        wait_until(lambda row=row: server.get(f"/scenarios/{row['id']}").json().get("restarts") == 1, "it goes on")
        server.wait_for_events(row["id"], server.stats(row["id"])["total_events"] + 20)
        (hole,) = server.get(f"/scenarios/{row['id']}").json()["holes"]
        assert hole["reason"] == "killed by signal 9 (SIGKILL)"
        values, missed = lines_and_holes(server, row, tmp_path / row["name"])
        assert values == sorted(set(values))
        assert missed == hole["missed_ticks"] == values[-1] + 1 - len(values)
    (second,) = hosts(server)
    second.kill()
    for row in rows:
        server.wait_for_state(row["id"], "finished")
        assert server.get(f"/scenarios/{row['id']}").json()["exit_reason"] == "killed by signal 9 (SIGKILL)"
        deleted = server.delete(f"/scenarios/{row['id']}").json()
        assert deleted["total_events"] == len(lines_of(tmp_path / row["name"]))
    assert "sondad_scenario_restarts_total 3" in server.get("/metrics?own=1").text
    (row,) = server.launch(body(entry("next", to_file(tmp_path / "next")), isolation="shared"))
    server.wait_for_events(row["id"], 5)


def test_a_histogram_goes_on_as_if_nothing_had_happened(server: LiveServer, tmp_path: Path) -> None:
    """What it counts includes what was observed in the hole: every line is one of those that a run alone has."""
    histogram = {
        "signal_type": "histogram",
        "name": "h",
        "rate": 100,
        "distribution": {"type": "exponential", "rate": 10.0},
        "observations_per_tick": 5,
        "seed": 7,
    }
    shared = {**histogram, "id": "shared", "sink": to_file(tmp_path / "shared"), "isolation": "shared"}
    alone = {**histogram, "id": "alone", "sink": to_file(tmp_path / "alone")}
    first, other = server.launch(body(shared, alone))
    server.wait_for_events(first["id"], 20)
    (host,) = hosts(server)
    host.kill()
    wait_until(lambda: server.get(f"/scenarios/{first['id']}").json().get("restarts") == 1, "it goes on")
    server.wait_for_events(first["id"], server.stats(first["id"])["total_events"] + 50)
    total = server.delete(f"/scenarios/{first['id']}").json()["total_events"]
    wanted = lines_of(tmp_path / "shared")
    assert wanted
    wait_until(lambda: wanted[-1] in lines_of(tmp_path / "alone"), "the other is as far")
    server.delete(f"/scenarios/{other['id']}")
    expected = iter(lines_of(tmp_path / "alone"))
    assert all(line in expected for line in wanted)
    per_tick = sum(line.split(b" ")[-1] == wanted[0].split(b" ")[-1] for line in wanted)
    assert len(wanted) == total * per_tick


@pytest.mark.parametrize("crashes", ["up", "down"])
def test_gates_hold_after_a_crash(start_server: StartServer, tmp_path: Path, crashes: str) -> None:
    """Of the process of the upstream, or of the downstream: the gate opens and closes as before, and ends with it."""
    server = start_server("--per-worker", "1")
    pulse = {"type": "sequence", "values": [0, 1], "repeat": True}
    gate = {"while": {"ref": "up", "op": ">", "value": 0.5}}
    upstream = entry("up", to_file(tmp_path / "up"), rate=10) | {"generator": pulse}
    downstream = entry("down", to_file(tmp_path / "down"), duration="1h", **gate)
    rows = {row["name"]: row["id"] for row in server.launch(body(upstream, downstream, isolation="shared"))}
    server.wait_for_state(rows["down"], "running")
    (host,) = [host for host in hosts(server) if str(tmp_path / crashes) in [file.path for file in host.open_files()]]
    host.kill()
    wait_until(lambda: server.get(f"/scenarios/{rows[crashes]}").json().get("restarts") == 1, "it goes on")
    for state in ("running", "paused") * 2:
        server.wait_for_state(rows["down"], state)
    server.delete(f"/scenarios/{rows['up']}")
    server.wait_for_state(rows["down"], "finished")


def test_a_shared_entry_that_does_not_stop_is_killed_with_its_process(server: LiveServer, tmp_path: Path) -> None:
    """A worker stopped by SIGSTOP cannot end one of its entries: DELETE answers all the same, the other goes on."""
    first, second = server.launch(body(*(entry(name, to_file(tmp_path / name)) for name in "ab"), isolation="shared"))
    for row in (first, second):
        server.wait_for_events(row["id"], 5)
    (host,) = hosts(server)
    freeze(host.pid)
    assert server.delete(f"/scenarios/{first['id']}").json()["status"] == "force_stopped"
    wait_until(lambda: server.get(f"/scenarios/{second['id']}").json().get("restarts") == 1, "the other goes on")
    wait_until(lambda: server.get(f"/scenarios/{second['id']}").json().get("holes"), "it names its hole")
    (hole,) = server.get(f"/scenarios/{second['id']}").json()["holes"]
    assert hole["reason"] == "killed with its worker, because another scenario in it did not stop"


def test_sigterm_delivers_what_shared_entries_have(start_server: StartServer) -> None:
    """All their buffers, and exit code 0."""
    with Receiver() as receiver:
        server = start_server("--isolation", "shared")
        sink = {"type": "http_push", "url": receiver.url, "batch_size": 10**9, "max_buffer_age": "0s"}
        rows = server.launch(body(*(entry(name, sink) for name in "abc")))
        for row in rows:
            server.wait_for_events(row["id"], 10)
        assert server.stop(signal.SIGTERM) == 0
        delivered = sum(len(part.decode().splitlines()) for part in receiver.kept)
        counted = [re.search(r"total_events=(\d+)", line) for line in server.log_lines("scenario task joined")]
        assert len(counted) == 3
        assert delivered == sum(int(found[1]) for found in counted if found)
