"""Drills: limits that run out, children that hang, signals to one and to all; the daemon outlives each."""

import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartServer
from tests.support.live_server import LiveServer
from tests.support.polling import wait_until

ROOM_SECS = 5.0
"""From the moment there is room again to a launch that works."""


def _entry(name: str, rate: float = 20.0, **changes: object) -> dict[str, object]:
    return {
        "name": name,
        "signal_type": "metrics",
        "rate": rate,
        "generator": {"type": "constant", "value": 1.0},
        "sink": {"type": "memory"},
        **changes,
    }


def _body(*entries: dict[str, object]) -> dict[str, object]:
    return {"version": 2, "scenarios": list(entries)}


def _template(server: LiveServer) -> psutil.Process:
    found = lambda: [one for one in server.descendants() if one.cmdline()[:1] == ["sondad: template"]]  # noqa: E731
    return wait_until(found, "the template is there")[0]


def _fill(server: LiveServer, most: int) -> tuple[list[str], str]:
    """Launch one scenario after the other until one is refused; returns the ids and what the refusal says."""
    launched = []
    for index in range(most):
        answer = server.post(_body(_entry(f"s{index}", rate=1.0)))
        if answer.status_code != 201:
            assert answer.status_code == 500, answer.text
            return launched, answer.json()["detail"]
        launched.append(answer.json()["id"])
    raise AssertionError(f"{most} scenarios were launched and nothing ran out")


def _outlives(server: LiveServer, launched: list[str]) -> None:
    """What runs goes on, the probe answers, and there is room again within seconds of a DELETE."""
    assert server.get("/health").status_code == 200
    before = {one: server.stats(one)["total_events"] for one in launched[:: max(len(launched) // 8, 1)]}
    for one, events in before.items():
        assert server.wait_for_events(one, events + 1)["state"] == "running"
    for one in launched[:6]:
        assert server.delete(f"/scenarios/{one}").status_code == 200
    wait_until(lambda: server.post(_body(_entry("again"))).status_code == 201, "there is room again", ROOM_SECS)
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("limit", [128, 256])
def test_descriptors_run_out(start_server: StartServer, limit: int) -> None:
    """The refusal names the limit, nothing that runs is lost, and the next POST works when there is room."""
    command = ("prlimit", f"--nofile={limit}:{limit}", str(Path(sys.executable).with_name("sonda-server")))
    server = start_server(command=command)
    launched, refusal = _fill(server, limit)
    assert f"the limit of {limit} open files (ulimit -n)" in refusal
    assert len(launched) > limit // 8
    _outlives(server, launched)
    assert server.stop() == 0


def test_memory_for_workers_is_bounded(start_server: StartServer) -> None:
    """A worker that wants more than it may have fails by itself, and says so."""
    server = start_server("--worker-memory", "200")
    (running,) = server.launch(_body(_entry("small")))
    server.wait_for_events(running["id"], 2)
    worker = server.worker(running["id"])
    assert worker.rlimit(resource.RLIMIT_DATA) == (200 * 2**20, 200 * 2**20)
    assert server.stop() == 0


def test_a_start_without_memory_is_one_line() -> None:
    """An address space that is too small is an error that names the remedy, and no traceback."""
    command = ["prlimit", "--as=120000000", str(Path(sys.executable).with_name("sonda-server")), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: the limit of 114 MiB of address space (ulimit -v) is too low")


def test_the_template_is_stopped(server: LiveServer) -> None:
    """Nothing waits for it: calls are answered, it is replaced, and the end is as clean as ever."""
    (running,) = server.launch(_body(_entry("running")))
    template = _template(server)
    template.suspend()
    # The spares that there are, and more than those.
    launched = server.launch(_body(*(_entry(f"s{index}") for index in range(12))))
    assert server.get("/ready").status_code == 200
    assert server.delete(f"/scenarios/{running['id']}").json()["status"] == "stopped"
    for one in launched:
        server.wait_for_events(one["id"], 1)
    assert _template(server).pid != template.pid
    assert server.wait_for_log("does not answer and is replaced")
    server.stop(timeout_secs=6)
    assert server.process.returncode == 0


def test_spares_are_stopped(server: LiveServer) -> None:
    """A plan that a stopped worker does not take is offered to another one."""
    spares = wait_until(
        lambda: [one for one in server.descendants() if one.cmdline()[:1] == ["sondad: worker (spare)"]], "spares"
    )
    for spare in spares:
        spare.suspend()
    (launched,) = server.launch(_body(_entry("through")))
    server.wait_for_events(launched["id"], 1)
    assert server.stop() == 0


def test_a_worker_is_stopped(server: LiveServer) -> None:
    """DELETE of it ends within its five seconds, and so does the daemon."""
    first, second = server.launch(_body(_entry("first"), _entry("second")))
    for one in (first, second):
        server.wait_for_events(one["id"], 1)
        server.worker(one["id"]).suspend()
    assert server.delete(f"/scenarios/{first['id']}").json()["status"] == "force_stopped"
    server.stop(timeout_secs=7)
    assert server.process.returncode == 0


def test_ends_after_the_template_died(server: LiveServer) -> None:
    """The last word of a worker is believed although its exit code is lost: nothing counts as a crash."""
    (scenario,) = server.launch(_body(_entry("finite", duration="2s")))
    server.wait_for_events(scenario["id"], 1)
    _template(server).kill()
    server.wait_for_state(scenario["id"], "finished")
    detail = server.get(f"/scenarios/{scenario['id']}").json()
    assert "exit_reason" not in detail
    own = server.get("/metrics?own=1").text
    assert 'sondad_worker_exits_total{reason="crashed"} 0' in own
    assert 'sondad_worker_exits_total{reason="finished"} 1' in own


@pytest.mark.parametrize("whom", ["process", "group"])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_what_was_counted_was_delivered(
    start_server: StartServer, tmp_path: Path, number: signal.Signals, whom: str
) -> None:
    """A signal to the daemon or to its whole group loses nothing that was counted, and the exit code is 0."""
    server = start_server()
    path = tmp_path / "lines"
    (scenario,) = server.launch(_body(_entry("up", rate=500.0, sink={"type": "file", "path": str(path)})))
    server.wait_for_events(scenario["id"], 200)
    for harmless in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
        os.killpg(server.pid, harmless)
    if whom == "group":
        os.killpg(server.pid, number)
    else:
        os.kill(server.pid, number)
    assert server.process.wait(10) == 0
    server.assert_nothing_left(0.5)
    (line,) = [line for line in server.log_lines("scenario task join") if "scenario=up" in line]
    counted = int(line.partition("total_events=")[2].split()[0])
    assert path.read_bytes().count(b"\n") == counted >= 200


def test_a_hangup_is_a_reload_under_a_service_manager(start_server: StartServer, tmp_path: Path) -> None:
    """The catalog is read again, what runs goes on, and the manager is told when that is done."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        server = start_server("--catalog", str(catalog), environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        (scenario,) = server.launch(_body(_entry("up")))
        server.process.send_signal(signal.SIGHUP)
        assert server.wait_for_log("reload: the catalog was read")
        said: list[str] = []
        while not (said and said[-1] == "READY=1" and any("RELOADING=1" in one for one in said)):
            said.append(manager.recv(4096).decode())
        assert any("MONOTONIC_USEC=" in one for one in said if "RELOADING=1" in one)
        server.wait_for_events(scenario["id"], 3)
        assert server.stop() == 0


def test_the_template_leaves_before_the_daemon(start_server: StartServer) -> None:
    """When the daemon is gone, none of its processes is left, not even for a moment."""
    server = start_server()
    family = server.descendants()
    assert server.stop() == 0
    assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


def test_strangers_cost_little(start_server: StartServer) -> None:
    """Without the key no number of bodies, half heads and unread answers makes the daemon grow by more than 20 MB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    server = start_server(environment={"SONDA_API_KEY": "s3cret"})
    daemon = psutil.Process(server.pid)
    for _ in range(50):
        assert server.get("/health").status_code == 200
    before = daemon.memory_full_info().uss
    body = b"POST /scenarios HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 999_999
    half = b"GET /health HTTP/1.1\r\nX: " + b"x" * 15_000
    unread = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3
    try:
        for octets, count in ((body, 200), (half, 1500), (unread, 2000)):
            with ExitStack() as stack:
                for _ in range(count):
                    stranger = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
                    # Those that were idle for the longest are sent away.
                    with suppress(ConnectionError, TimeoutError):
                        stranger.sendall(octets)
                assert server.get("/health").status_code == 200
                assert daemon.memory_full_info().uss - before <= 20 * 2**20
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert server.stop() == 0
