"""Drills: limits that run out, children that hang, signals to one and to all; the daemon outlives each."""

import os
import resource
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartServer
from tests.support.filling import body_of, fill, outlives, steady
from tests.support.live_relay import LiveRelay, clients_config, own
from tests.support.live_server import COMMAND, STOP_SECS, LiveServer
from tests.support.polling import wait_until
from tests.support.probing import probe
from tests.support.processes import freeze, has_ended, titled


def _template(server: LiveServer) -> psutil.Process:
    # What it has just forked still bears its title.
    found = lambda: titled(psutil.Process(server.pid).children(), TITLES["template"])  # noqa: E731
    return wait_until(found, "the template is there")[0]


@pytest.mark.parametrize("limit", [256, 1024])
def test_descriptors_run_out(start_server: StartServer, limit: int) -> None:
    """The refusal names the limit, nothing that runs is lost, and the next POST works when there is room."""
    command = ("prlimit", f"--nofile={limit}:{limit}", COMMAND)
    server = start_server(command=command)
    launched, refusal = fill(server, limit)
    assert f"the limit of {limit} open files (ulimit -n)" in refusal
    assert len(launched) > limit // 4
    outlives(server, launched)
    assert server.stop() == 0


def test_memory_for_workers_is_bounded(start_server: StartServer) -> None:
    """A worker that wants more than it may have fails by itself, and says so."""
    server = start_server("--worker-memory", "200")
    (running,) = server.launch(body_of(steady("small")))
    server.wait_for_events(running["id"], 2)
    worker = server.worker(running["id"])
    assert worker.rlimit(resource.RLIMIT_DATA) == (200 * 2**20, 200 * 2**20)
    assert server.stop() == 0


def test_a_start_without_memory_is_one_line() -> None:
    """An address space that is too small is an error that names the remedy, and no traceback."""
    command = ["prlimit", "--as=120000000", COMMAND, "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: the limit of 114 MiB of address space (ulimit -v) is too low")


def test_the_template_is_stopped(server: LiveServer) -> None:
    """Nothing waits for it: calls are answered, it is replaced, and the end is as clean as ever."""
    (running,) = server.launch(body_of(steady("running")))
    template = _template(server)
    freeze(template.pid)
    # The spares that there are, and more than those.
    launched = server.launch(body_of(*(steady(f"s{index}") for index in range(12))))
    assert server.get("/ready").status_code == 200
    assert server.delete(f"/scenarios/{running['id']}").json()["status"] == "stopped"
    for one in launched:
        server.wait_for_events(one["id"], 1)
    assert _template(server).pid != template.pid
    assert server.wait_for_log("does not answer and is replaced")
    server.stop()
    assert server.process.returncode == 0


def test_spares_are_stopped(server: LiveServer) -> None:
    """A plan that a stopped worker does not take is offered to another one."""
    for spare in wait_until(lambda: titled(server.descendants(), TITLES["spares"]), "spares"):
        freeze(spare.pid)
    (launched,) = server.launch(body_of(steady("through")))
    server.wait_for_events(launched["id"], 1)
    assert server.stop() == 0


TITLES = {
    "template": "sondad: template",
    "spares": "sondad: worker (spare)",
    "worker": "sondad: scenario first",
    "relay": "supervisor.relay",
}


@pytest.mark.parametrize("who", TITLES)
def test_a_stopped_child_holds_up_nobody_else(start_server: StartServer, tmp_path: Path, who: str) -> None:
    """What is stopped would never answer, but all calls are answered, its DELETE too, and the end is as ever."""
    relay = LiveRelay(tmp_path, clients_config(own()))
    command = (COMMAND.replace("sonda-server", "sondad"), "serve")
    server = start_server("--relay", str(relay.config), command=command)
    first, second = server.launch(body_of(steady("first"), steady("second")))
    server.wait_for_events(first["id"], 1)
    for process in wait_until(lambda: titled(server.descendants(), TITLES[who]), f"{who} found"):
        freeze(process.pid)
    assert server.delete(f"/scenarios/{second['id']}").json()["status"] == "stopped"
    assert server.get("/ready").status_code == 200
    answer = server.delete(f"/scenarios/{first['id']}").json()
    assert answer["status"] == ("force_stopped" if who == "worker" else "stopped")
    (third,) = server.launch(body_of(steady("third")))
    server.wait_for_events(third["id"], 1)
    if who == "worker":
        freeze(server.worker(third["id"]).pid)
    assert server.stop() == 0


def test_ends_after_the_template_died(server: LiveServer) -> None:
    """The last word of a worker is believed although its exit code is lost: nothing counts as a crash."""
    (scenario,) = server.launch(body_of(steady("finite", duration="2s")))
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
    (scenario,) = server.launch(body_of(steady("up", rate=500.0, sink={"type": "file", "path": str(path)})))
    server.wait_for_events(scenario["id"], 200)
    for harmless in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
        os.killpg(server.pid, harmless)
    if whom == "group":
        os.killpg(server.pid, number)
    else:
        os.kill(server.pid, number)
    assert server.process.wait(STOP_SECS) == 0
    server.assert_nothing_left()
    (line,) = [line for line in server.log_lines("scenario task join") if "scenario=up" in line]
    counted = int(line.partition("total_events=")[2].split()[0])
    assert path.read_bytes().count(b"\n") == counted >= 200


def test_a_hangup_is_a_reload_under_a_service_manager(start_server: StartServer, tmp_path: Path) -> None:
    """The catalog is read again, what runs goes on, and the manager is told when that is done."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(STOP_SECS)
        server = start_server("--catalog", str(catalog), environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        (scenario,) = server.launch(body_of(steady("up")))
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
    assert all(map(has_ended, family))


STRANGERS = {
    "body": b"POST /scenarios HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 999_999,
    "half a head": b"GET /health HTTP/1.1\r\nX: " + b"x" * 15_000,
    "a trailer without end": b"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
    + b"x" * 60_000,
    "answers that nobody reads": b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3,
}


@pytest.mark.parametrize("raw", STRANGERS.values(), ids=STRANGERS)
def test_strangers_cost_little(start_server: StartServer, raw: bytes) -> None:
    """Without the key, 4 096 connections do not make the daemon grow by more than 20 MB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    server = start_server(environment={"SONDA_API_KEY": "s3cret"})
    daemon = psutil.Process(server.pid)
    for _ in range(50):
        probe(server)
    before = daemon.memory_full_info().pss
    try:
        with ExitStack() as stack:
            for count in range(1, 4097):
                stranger = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
                # Those that were idle for the longest are sent away; a body is refused while it comes.
                with suppress(ConnectionError, TimeoutError):
                    stranger.sendall(raw)
                if count % 256 == 0:
                    probe(server)
                    assert daemon.memory_full_info().pss - before <= 20_000_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert server.stop() == 0
