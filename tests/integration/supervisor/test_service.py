"""The control plane's process from its first line to its exit code, signals and streams included."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.conftest import StartServer
from tests.support.live_server import COMMAND, STOP_SECS, LiveServer
from tests.support.polling import wait_until
from tests.support.ports import free_port
from tests.support.processes import freeze, title_of, titled
from tests.support.transcripts import run

ENDLESS_GRACE = """
import supervisor.service
from supervisor.__main__ import compatible_main

supervisor.service.GRACE_SECS = 3600.0
compatible_main()
"""
ROOT = Path(__file__).parents[3]
START_SECS = 60.0
READY = "sondad: worker (spare)"


def _run(
    *arguments: str, command: tuple[str, ...] = (COMMAND,), **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command that must end by itself."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SONDA_")}
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        timeout=START_SECS,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _metric(name: str = "up", rate: float = 100.0, sink: dict[str, str] | None = None) -> dict[str, object]:
    return {
        "id": name,
        "signal_type": "metrics",
        "name": name,
        "rate": rate,
        "generator": {"type": "constant", "value": 1.0},
        "sink": sink or {"type": "memory"},
    }


def _body(*entries: dict[str, object]) -> dict[str, object]:
    return {"version": 2, "scenarios": list(entries)}


def test_order_of_the_first_lines(start_server: StartServer) -> None:
    """The port is announced on stdout, then the log says where it listens; nothing else is on stdout."""
    server = start_server()
    wait_until(lambda: server.log_lines("sonda-server listening"), "the log line")
    assert json.loads(server.stdout_path.read_bytes()) == {"sonda_server": {"port": server.port}}
    lines = server.log().splitlines()
    assert "API key authentication disabled — all endpoints are public" in lines[0]
    assert "--max-scenarios 0 — scenario row cap disabled (unlimited)" in lines[1]
    assert f"sonda-server listening addr=127.0.0.1:{server.port} workers=" in lines[2]


def test_info_shows_the_documented_lines_alone(start_server: StartServer) -> None:
    """A filter on our own target shows the documented lines of a whole life and nothing else."""
    server = start_server("--max-scenarios", "10", environment={"RUST_LOG": "sonda_server=info"})
    (scenario,) = server.launch(_body(_metric()))
    server.wait_for_events(scenario["id"], 3)
    assert server.delete(f"/scenarios/{scenario['id']}").status_code == 200
    server.launch(_body(_metric("left")))
    assert server.stop() == 0
    messages = [line.split(" ", 4)[-1] if "  INFO" in line else line for line in server.log().splitlines()]
    assert [message.split("=")[0].rsplit(" ", 1)[0] for message in messages] == [
        "API key authentication disabled — all endpoints are",
        "sonda-server listening",
        "scenario launched",
        "scenario deleted",
        "scenario launched",
        "shutdown signal received — stopping all running",
        "scenario task joined",
        "sonda-server shut down",
    ]


def test_key_lines_and_secrecy(start_server: StartServer) -> None:
    """With a key the log says so; the key itself is in no log, no process title and no worker's environment."""
    server = start_server("--api-key", "t0p-s3cret")
    assert server.wait_for_log("API key authentication enabled for /scenarios/*, /events, /metrics, and")
    assert server.get("/scenarios").status_code == 401
    wait_until(lambda: titled(server.descendants(), READY), "a spare")
    for process in [psutil.Process(server.pid), *server.descendants()]:
        assert "s3cret" not in title_of(process)
    server_log = server.log()
    assert server.stop() == 0
    assert "s3cret" not in server_log + server.log()


def test_the_key_of_the_environment_stays_out_of_children(start_server: StartServer) -> None:
    """A key from the environment works, and neither template nor workers have it."""
    server = start_server(environment={"SONDA_API_KEY": "t0p-s3cret"})
    assert server.get("/scenarios", headers={"Authorization": "Bearer t0p-s3cret"}).status_code == 200
    wait_until(lambda: titled(server.descendants(), READY), "a spare")
    for process in server.descendants():
        assert "SONDA_API_KEY" not in process.environ()


def test_an_empty_key_and_an_open_address_warn(start_server: StartServer) -> None:
    """An empty key is no key, and an address that others reach without one is worth a warning."""
    server = start_server("--api-key=", "--bind", "0.0.0.0")
    assert server.wait_for_log(
        "WARN sonda_server::service --api-key / SONDA_API_KEY is empty — authentication disabled"
    )
    assert server.wait_for_log("--bind 0.0.0.0 without an API key")
    assert server.get("/scenarios").status_code == 200


@pytest.mark.parametrize("command", [(COMMAND,), (sys.executable, "-m", "supervisor", "serve")])
def test_wrong_arguments_end_with_2(command: tuple[str, ...]) -> None:
    """Wrong arguments are named on stderr; stdout stays empty, so no port was announced."""
    result = _run("--port", "70000", command=command)
    assert result.returncode == 2
    assert result.stdout == b""
    assert b"--port" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (("--bind", "localhost"), {}, "argument --bind: expected an IP address such as 127.0.0.1"),
        (("--bind", "300.1.1.1"), {}, "found '300.1.1.1'"),
        (("--allow-path", "/nope"), {}, "argument --allow-path: expected a directory that exists, found '/nope'"),
        ((), {"RUST_LOG": "bogus"}, "Error: RUST_LOG=bogus: expected a level"),
    ],
)
def test_what_can_never_be_right_ends_with_2(
    arguments: tuple[str, ...], environment: dict[str, str], named: str, tmp_path: Path
) -> None:
    """A service manager need not try again; stderr says which setting is wrong, and no port is announced."""
    result = run(["sonda-server", "--port", "0", *arguments], tmp_path, **environment)
    assert (result.returncode, result.stdout) == (2, "")
    assert named in result.stderr


@pytest.mark.parametrize("name", ["common", "worker"])
def test_a_package_that_hides_ours_ends_the_start(tmp_path: Path, name: str) -> None:
    """One line says where it is, whoever starts us otherwise than by the commands."""
    (tmp_path / f"{name}.py").write_text("raise SystemExit('a foreign module runs')\n")
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from supervisor.__main__ import compatible_main; compatible_main()"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Error: the package '{name}' of {tmp_path}/{name}.py hides ours; take it out of PYTHONPATH\n"


def test_packages_with_the_names_of_ours_change_nothing(start_server: StartServer, tmp_path: Path) -> None:
    """The commands find their own first, and so do the processes that they start."""
    for name in ("common", "worker", "supervisor"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a foreign module runs')\n")
    server = start_server(environment={"PYTHONPATH": str(tmp_path)})
    (row,) = server.launch(_body(_metric()))
    server.wait_for_events(row["id"])


def test_an_address_of_another_machine_ends_with_1() -> None:
    """It may be there at the next try, so it is no wrong argument; the error names it."""
    result = _run("--bind", "192.0.2.1", "--port", "0")
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.splitlines()[-1].startswith(b"Error: cannot listen on 192.0.2.1 port 0")


def test_a_port_in_use_ends_with_1() -> None:
    """A taken port is an error that names it; even a filter that shows nothing does not hide it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = _run("--port", str(port), RUST_LOG="off")
    assert result.returncode == 1
    assert result.stdout == b""
    assert f"Error: cannot listen on 127.0.0.1 port {port}: Address already in use (os error 98)" in (
        result.stderr.decode()
    )


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (("--help",), 0, "serve"),
        (("--version",), 0, "sondad "),
        (("serve", "--help"), 0, "--bind"),
        (("serve", "-V"), 0, "sondad serve "),
        ((), 2, "Usage: sondad"),
        (("fly",), 2, "unrecognized subcommand 'fly'"),
    ],
)
def test_the_command_line_of_sondad(arguments: tuple[str, ...], code: int, shown: str, tmp_path: Path) -> None:
    """Help and version go to stdout with 0; an unknown command or none goes to stderr with 2."""
    result = run(["sondad", *arguments], tmp_path)
    assert result.returncode == code
    assert shown in (result.stderr if code else result.stdout)
    assert not (result.stdout if code else result.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_right_after_the_announce_is_a_clean_exit(start_server: StartServer, number: signal.Signals) -> None:
    """Handlers are in place before the port is announced."""
    server = start_server()
    assert server.stop(number) == 0
    assert len(server.log_lines("shutdown signal received — stopping all running scenarios")) == 1
    assert len(server.log_lines("sonda-server shut down cleanly")) == 1


def test_shutdown_accounts_for_every_scenario(start_server: StartServer, tmp_path: Path) -> None:
    """One line for each scenario not deleted before: joined, or failed when its worker had died; files are whole."""
    server = start_server("--workers", "1", "--allow-path", str(tmp_path))
    path = tmp_path / "a.prom"
    fine, victim, deleted = server.launch(
        _body(_metric("fine", 1000.0, {"type": "file", "path": str(path)}), _metric("victim"), _metric("deleted"))
    )
    server.wait_for_events(fine["id"], 100)
    assert server.delete(f"/scenarios/{deleted['id']}").status_code == 200
    server.worker(victim["id"]).kill()
    server.wait_for_state(victim["id"], "finished")
    assert server.stop() == 0
    (joined,) = server.log_lines("scenario task joined")
    assert "scenario=fine" in joined
    (failed,) = server.log_lines("scenario task join failed")
    assert "scenario=victim" in failed
    assert 'error="killed by signal 9 (SIGKILL)"' in failed
    assert f"total_events={path.read_bytes().count(10)}" in joined


def test_a_second_signal_does_not_wait(start_server: StartServer) -> None:
    """Workers that do not leave are killed at the second signal, of whatever their time is; the exit is still clean."""
    server = start_server(command=(sys.executable, "-c", ENDLESS_GRACE))
    (scenario,) = server.launch(_body(_metric()))
    server.wait_for_events(scenario["id"], 1)
    freeze(server.worker(scenario["id"]).pid)
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: server.log_lines("shutdown signal received"), "the first signal is handled")
    assert server.stop() == 0
    assert len(server.log_lines("scenario task join failed")) == 1


def test_a_reader_that_closes_stdout(start_server: StartServer) -> None:
    """When the reader of stdout goes, stdout sinks count on, of running and later scenarios; one line tells it."""
    server = start_server(piped_stdout=True)
    (first,) = server.launch(_body(_metric("first", sink={"type": "stdout"})))
    server.wait_for_events(first["id"], 3)
    server.stdout.close()
    (second,) = server.launch(_body(_metric("second", sink={"type": "stdout"})))
    for scenario in (first, second):
        seen = server.wait_for_events(scenario["id"], 20)
        assert seen["errors"] == seen["total_sink_failures"] == 0
        assert seen["state"] == "running"
    closed = "stdout was closed by its reader; stdout sinks discard from now on"
    wait_until(lambda: server.log_lines(closed), "the warning")
    assert server.stop() == 0
    assert len(server.log_lines(closed)) == 1


def _start_with(stdout: int | IO[bytes], stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [COMMAND, "--port", "0", "--bind", "127.0.0.1"],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def test_a_stdout_without_reader_at_the_announce(tmp_path: Path) -> None:
    """A reader that was gone before the announce keeps the daemon from nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    log_path = tmp_path / "log"
    with log_path.open("wb") as log:
        daemon = _start_with(writer, log)
    os.close(writer)
    wait_until(lambda: "sonda-server listening" in log_path.read_text(), "the daemon listens", START_SECS)
    wait_until(lambda: "stdout was closed by its reader" in log_path.read_text(), "the warning")
    daemon.terminate()
    assert daemon.wait(STOP_SECS) == 0


def test_a_stderr_nobody_reads_holds_nothing_up() -> None:
    """With a full stderr pipe requests are answered, and the daemon still ends in time."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    daemon = _start_with(subprocess.PIPE, writer)
    os.close(writer)
    assert daemon.stdout is not None
    port = json.loads(daemon.stdout.readline())["sonda_server"]["port"]
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(b"POST /scenarios HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n{")
            assert client.recv(100).startswith(b"HTTP/1.1 400")
    daemon.terminate()
    assert daemon.wait(STOP_SECS) == 0
    daemon.stdout.close()
    os.close(reader)


def test_closed_standard_streams(tmp_path: Path) -> None:
    """Started without any standard stream the daemon still runs, and no socket gets one of their numbers."""
    port = free_port()
    daemon = subprocess.Popen(
        ["/bin/sh", "-c", f'exec "{COMMAND}" --port {port} <&- >&- 2>&-'], start_new_session=True, cwd=tmp_path
    )

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 5):
                return True
        except OSError:
            return False

    wait_until(answers, "the daemon listens", START_SECS)
    links = {number: os.readlink(f"/proc/{daemon.pid}/fd/{number}") for number in range(3)}
    assert links == dict.fromkeys(range(3), "/dev/null")
    daemon.terminate()
    assert daemon.wait(STOP_SECS) == 0


def test_a_killed_daemon_leaves_nothing(start_server: StartServer) -> None:
    """After SIGKILL of the daemon alone all its processes are gone within two seconds and its pipes end."""
    server = start_server(piped_stdout=True)
    scenarios = server.launch(_body(*(_metric(f"m{index}") for index in range(5))))
    server.wait_for_events(scenarios[-1]["id"], 1)
    assert len(server.descendants()) > 5
    server.process.kill()
    server.process.wait(STOP_SECS)
    server.assert_nothing_left()
    assert server.stdout.read() == b""


def test_the_template_may_die(server: LiveServer) -> None:
    """Running scenarios survive the death of the process that forks workers, and new ones can be launched."""
    (running,) = server.launch(_body(_metric("running")))
    server.wait_for_events(running["id"], 3)
    (template,) = titled(psutil.Process(server.pid).children(), "template")
    template.kill()
    (fresh,) = wait_until(lambda: _launched(server, "fresh"), "a launch after the template died")
    server.wait_for_events(fresh["id"], 3)
    seen = server.stats(running["id"])
    assert seen["state"] == "running"
    server.wait_for_events(running["id"], seen["total_events"] + 3)
    for scenario in (running, fresh):
        assert server.delete(f"/scenarios/{scenario['id']}").json()["status"] == "stopped"


def _launched(server: LiveServer, name: str) -> list[dict[str, object]] | None:
    answer = server.post(_body(_metric(name)))
    return [answer.json()] if answer.status_code == 201 else None
