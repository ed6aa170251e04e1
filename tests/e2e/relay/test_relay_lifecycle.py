"""Sockets over their life, reload, notify, signals, exit codes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live_relay import BODY, LiveRelay, clients_config, connect, live, own, read_all, wait_gone
from tests.support.polling import wait_until

CHECK = '"c": {urn: "*"}'


CONFIG = clients_config("\n".join((own(CHECK), own(CHECK, name="other"))), relay="reconcile: 1s")


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[LiveRelay]:
    with live(tmp_path / "relay", CONFIG) as started:
        yield started


@pytest.fixture(scope="module")
def shared_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRelay]:
    """For tests that leave it as it was."""
    with live(tmp_path_factory.mktemp("shared"), CONFIG) as started:
        yield started


def notify(relay: LiveRelay, message: bytes) -> bytes:
    with connect(f"{relay.root}/run/notify.sock") as sock:
        sock.sendall(message)
        sock.shutdown(socket.SHUT_WR)
        return read_all(sock)


def client_state(relay: LiveRelay, client: str) -> str:
    return str(relay.admin("GET", "/state").json()["clients"][client]["state"])


def reload(relay: LiveRelay, old: str, new: str) -> None:
    """Change the configuration file and wait until the relay has taken it."""
    text = relay.config.read_text()
    assert old in text
    relay.config.write_text(text.replace(old, new))
    before = relay.metric('sondad_relay_reloads_total{result="ok"}')
    assert relay.process is not None
    relay.process.send_signal(signal.SIGHUP)
    wait_until(lambda: relay.metric('sondad_relay_reloads_total{result="ok"}') != before, "the reload is done")


def run_relay(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor.relay", "--config", str(config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_client_is_stopped_and_started_through_the_notify_socket(shared_relay: LiveRelay) -> None:
    """`stop` removes the socket and keeps the state, `start` creates it; repeated commands are fine."""
    relay = shared_relay
    assert relay.post("agent", "c").status == 202
    assert notify(relay, b"agent:stop") == b"ok\n"
    wait_gone(relay.sock("agent"))
    assert notify(relay, b"agent:stop\n") == b"ok\n"
    shown = relay.check("agent", "c")
    assert (shown["status"], shown["listening"]) == ("ok", False)
    assert relay.post("other", "c").status == 202
    assert notify(relay, b"agent:start\r\n") == b"ok\n"
    assert notify(relay, b"agent:start") == b"ok\n"
    assert relay.post("agent", "c").status == 202


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"agent",
        b"agent:",
        b":stop",
        b"agent:STOP",
        b"agent:stop:now",
        b"agent:stop\n\n",
        b"\xff" * 100,
        b"x" * 300,
    ],
)
def test_a_bad_notification_disturbs_nobody(shared_relay: LiveRelay, message: bytes) -> None:
    """Whatever arrives, clients go on listening."""
    assert notify(shared_relay, message) == b"error bad message\n"
    assert shared_relay.post("agent", "c").status == 202


def test_an_unknown_client_is_an_error(shared_relay: LiveRelay) -> None:
    """Where the original crashed, the sender gets an error."""
    assert notify(shared_relay, b"nobody:stop") == b"error unknown client\n"


def test_requests_in_flight_are_finished_when_their_client_stops(relay: LiveRelay) -> None:
    """A request whose head was read gets its answer; idle connections are dropped."""
    with connect(relay.sock("agent")) as busy, connect(relay.sock("agent")) as idle:
        busy.sendall(b"POST /checks/c HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 28\r\n\r\n")
        wait_until(
            lambda: relay.admin("GET", "/state").json()["clients"]["agent"]["connections"] == 2, "both are accepted"
        )
        assert notify(relay, b"agent:stop") == b"ok\n"
        assert read_all(idle) == b""
        assert client_state(relay, "agent") == "stopping"
        assert notify(relay, b"agent:start") == b"ok\n"
        busy.sendall(BODY)
        assert read_all(busy).startswith(b"HTTP/1.1 202 ")
    wait_until(lambda: client_state(relay, "agent") == "listening", "the start follows the stop")


def test_a_removed_socket_comes_back(relay: LiveRelay) -> None:
    """Whoever deletes the file, the relay heals it; at once when asked, else within the reconcile period."""
    os.unlink(relay.sock("agent"))
    assert relay.admin("POST", "/state?action=reconcile").status == 202
    assert relay.post("agent", "c").status == 202
    os.unlink(relay.sock("agent"))
    wait_until(lambda: os.path.exists(relay.sock("agent")), "the socket comes back by itself")
    assert relay.post("agent", "c").status == 202


def test_stale_files_are_replaced_and_foreign_ones_left_alone(tmp_path: Path) -> None:
    """A dead socket goes; a live listener, a file and a link stay untouched and only their client is in error."""
    names = ("stale", "alive", "file", "link", "fine")
    config = clients_config("\n".join(own(CHECK, name=name) for name in names))
    folder = tmp_path / "relay" / "run" / "clients"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "stale.sock"))
    (folder / "file.sock").write_text("precious")
    (folder / "link.sock").symlink_to("file.sock")
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(folder / "alive.sock"))
        alive.listen()
        foreign = os.lstat(folder / "alive.sock").st_ino
        with live_but_foreign(tmp_path / "relay", config) as relay:
            states = {name: client_state(relay, name) for name in names}
            assert states == {
                "stale": "listening", "alive": "error", "file": "error", "link": "error", "fine": "listening",
            }  # fmt: skip
            assert relay.post("stale", "c").status == relay.post("fine", "c").status == 202
            assert relay.admin("GET", "/ping").json()["status"] == "degraded"
            assert relay.admin("GET", "/state").json()["clients"]["alive"]["error"].count(str(folder)) == 1
        assert os.lstat(folder / "alive.sock").st_ino == foreign
        assert (folder / "file.sock").read_text() == "precious"
        assert (folder / "link.sock").is_symlink()


@contextlib.contextmanager
def live_but_foreign(root: Path, config: str) -> Iterator[LiveRelay]:
    """Run a relay beside files that are not its own: only its own sockets must be gone afterwards."""
    relay = LiveRelay(root, config)
    try:
        yield relay.start()
        assert relay.stop() == 0
        assert not os.path.lexists(relay.sock("fine"))
    finally:
        relay.kill()
        print(relay.log())


def test_reload_applies_the_difference(relay: LiveRelay) -> None:
    """Clients and checks come and go, limits and modes change in place, and open sockets stay open."""
    assert relay.post("agent", "c").status == 202
    before = os.lstat(relay.sock("agent")).st_ino
    reload(relay, own(CHECK), own('"c": {urn: "urn:x"}, "d": {urn: "*"}', extra='mode: "0640", '))
    found = os.lstat(relay.sock("agent"))
    assert (found.st_ino, found.st_mode & 0o777) == (before, 0o640)
    assert relay.post("agent", "d").status == 202
    assert relay.check("agent", "c")["status"] == "ok"
    bad_name = b'{"status":"ok","metrics":{"name":"urn:y","type":"Integer","value":1}}'
    assert relay.post("agent", "c", bad_name).status == 409
    reload(relay, own(CHECK, name="other"), own(CHECK, name="third"))
    wait_gone(relay.sock("other"))
    assert relay.post("third", "c").status == 202
    wait_until(lambda: relay.admin("GET", "/checks/other/c").status == 404, "its state is forgotten")
    reload(relay, '"c": {urn: "urn:x"}, ', "")
    wait_until(lambda: relay.admin("GET", "/checks/agent/c").status == 404, "the state of the check is forgotten")
    reload(relay, own(CHECK, name="third"), own(CHECK, name="third", extra=f"socket: '{relay.root}/run/moved.sock', "))
    wait_gone(relay.sock("third"))
    assert os.path.exists(f"{relay.root}/run/moved.sock")


def test_a_faulty_file_is_not_loaded(relay: LiveRelay) -> None:
    """The running configuration stays, the fault is counted and logged."""
    good = relay.config.read_text()
    relay.config.write_text(good + "surprise: 1\n")
    assert relay.admin("POST", "/state?action=reload").status == 409
    wait_until(lambda: relay.metric('sondad_relay_reloads_total{result="error"}') == "1", "the fault is counted")
    assert relay.post("agent", "c").status == 202
    relay.wait_for_log("surprise: unknown field")
    relay.config.write_text(good)


def test_a_stopped_client_stays_stopped_across_a_reload(relay: LiveRelay) -> None:
    """What was stopped through the notify socket is not started by a reload."""
    notify(relay, b"agent:stop")
    reload(relay, "reconcile: 1s", "reconcile: 2s")
    assert client_state(relay, "agent") == "stopped"
    assert not os.path.exists(relay.sock("agent"))


def test_a_client_fault_is_repaired_by_reload(tmp_path: Path) -> None:
    """A fault in one client's values puts that client into error and no other; the repaired one starts."""
    config = clients_config(f"bad: {{user: no-such-user, checks: {{{CHECK}}}}}\n{own(CHECK)}")
    with live(tmp_path / "relay", config) as relay:
        assert client_state(relay, "bad") == "error"
        assert relay.post("agent", "c").status == 202
        reload(relay, "user: no-such-user", f"uid: {os.geteuid()}")
        assert relay.post("bad", "c").status == 202
        assert relay.admin("GET", "/health").status == 200


def test_a_changed_directory_needs_a_restart(relay: LiveRelay) -> None:
    """Settings that name what is open are kept, with a warning, and the sockets stay where they are."""
    reload(relay, f"'{relay.root}/run'", f"'{relay.root}/elsewhere'")
    relay.wait_for_log("a change of run_dir needs a restart")
    assert relay.post("agent", "c").status == 202
    assert not os.path.exists(f"{relay.root}/elsewhere")


def test_a_second_relay_finds_the_locks_held(shared_relay: LiveRelay) -> None:
    """It exits with 3 and harms nothing."""
    ended = run_relay(shared_relay.config)
    assert ended.returncode == 3
    assert "relay.lock is locked by another relay" in ended.stderr
    assert shared_relay.post("agent", "c").status == 202


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    """Who may replace the sockets could pose as the relay: exit code 1."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    config = tmp_path / "relay.yaml"
    config.write_text(clients_config(own(CHECK)).replace("{root}", str(tmp_path)))
    ended = run_relay(config)
    assert ended.returncode == 1
    assert "writable by others" in ended.stderr


def test_check_config_prints_every_fault(tmp_path: Path) -> None:
    """All faults of the file with file, line and key path, exit 2; a good file exits 0 and starts nothing."""
    config = tmp_path / "relay.yaml"
    config.write_text("version: 2\nrelay: {mode: odd, surprise: 1}\nclients:\n  a: {uid: x}\n  a: {}\n")
    ended = run_relay(config, "--check-config")
    assert ended.returncode == 2
    assert [line.split(": ")[1] for line in ended.stderr.splitlines()] == [
        "version",
        "relay.mode",
        "relay.surprise",
        "clients.a.uid",
        "clients.a",
    ]
    assert ended.stderr.startswith(f"{config}:1:10: version: expected 1, found 2\n")
    config.write_text(clients_config("a: {user: no-such-user}").replace("{root}", str(tmp_path)))
    ended = run_relay(config, "--check-config")
    assert (ended.returncode, "no such user: no-such-user" in ended.stderr) == (2, True)
    config.write_text(clients_config(own(CHECK)).replace("{root}", str(tmp_path)))
    ended = run_relay(config, "--check-config")
    assert ended.returncode == 0
    assert ended.stderr.endswith("; clients: 1, checks: 1, parents: 0\n")
    assert not (tmp_path / "run").exists()
    assert run_relay(tmp_path / "none.yaml").returncode == 2


def test_readiness_is_announced(tmp_path: Path) -> None:
    """`READY=1` goes to the service manager once every socket is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        os.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        try:
            relay = LiveRelay(tmp_path, clients_config(own(CHECK)))
            relay.launch()
        finally:
            del os.environ["NOTIFY_SOCKET"]
        try:
            assert manager.recv(100) == b"READY=1"
            assert relay.post("agent", "c").status == 202
            assert relay.stop() == 0
        finally:
            relay.kill()


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """The first SIGTERM drains; the second does not wait for it: exit code 1."""
    relay = LiveRelay(tmp_path, clients_config(own(CHECK), relay="drain_timeout: 60s, request_timeout: 60s"))
    try:
        relay.start()
        assert relay.process is not None
        with connect(relay.sock("agent")) as busy:
            busy.sendall(b"POST /checks/c HTTP/1.1\r\nContent-Length: 5\r\n\r\n")
            wait_until(
                lambda: relay.admin("GET", "/state").json()["clients"]["agent"]["connections"] == 1, "it is accepted"
            )
            relay.process.send_signal(signal.SIGTERM)
            wait_gone(relay.sock("agent"))
            assert relay.process.poll() is None
            relay.process.send_signal(signal.SIGINT)
            assert relay.process.wait(30) == 1
    finally:
        relay.kill()
