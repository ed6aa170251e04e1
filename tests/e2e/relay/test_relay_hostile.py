"""Clients that mean harm: links, FIFOs, floods of connections. The others must not notice."""

import contextlib
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live_relay import BODY, LiveRelay, clients_config, connect, live, own, read_all, request
from tests.support.polling import wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: folders and peers of other users")
STRANGER = 65533
REQUEST = (
    b"POST /checks/123 HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
)


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A directory that other users can enter."""
    root = Path(tempfile.mkdtemp(prefix="relay-"))
    root.chmod(0o755)
    yield root
    shutil.rmtree(root)


@needs_root
def test_a_client_cannot_turn_the_relay_against_other_files(open_root: Path) -> None:
    """A socket in a directory of the client, or in one that all may write to, is not created, and the log says why."""
    theirs, shared = open_root / "theirs", open_root / "shared"
    theirs.mkdir()
    shared.mkdir()
    os.chown(theirs, 2105, 2105)
    shared.chmod(0o777)
    config = clients_config(
        f'theirs: {{uid: 2105, socket: "{theirs}/s", checks: {{"1": {{urn: "*"}}}}}}\n'
        f'shared: {{uid: 2105, socket: "{shared}/s", checks: {{"1": {{urn: "*"}}}}}}\n' + own()
    )
    with live(open_root / "relay", config) as relay:
        clients = relay.admin("GET", "/state").json()["clients"]
        assert {name: item["state"] for name, item in clients.items()} == {
            "theirs": "error",
            "shared": "error",
            "agent": "listening",
        }
        assert "belongs to uid 2105" in clients["theirs"]["error"]
        assert "writable by others" in clients["shared"]["error"]
        assert relay.post("agent", "123").status == 202
    assert not list(theirs.iterdir())
    assert not list(shared.iterdir())


@needs_root
def test_a_socket_gets_owner_and_mode_by_descriptor(open_root: Path) -> None:
    """They are right at the first moment and after a reload, and a link in the socket's place is never followed."""
    victim = open_root / "victim"
    victim.write_text("")
    victim.chmod(0o600)
    config = clients_config('a: {uid: 2105, checks: {"1": {urn: "*"}}}')
    with live(open_root / "relay", config) as relay:
        path = Path(relay.sock("a"))
        status = path.lstat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, 2105)
        path.unlink()
        path.symlink_to(victim)
        relay.config.write_text(relay.config.read_text().replace("uid: 2105", 'uid: 2105, mode: "0666"'))
        assert relay.admin("POST", "/state?action=reload").status == 202
        relay.wait_for_log("configuration reloaded")
        assert stat.S_IMODE(victim.stat().st_mode) == 0o600
        path.unlink()


def test_a_directory_that_others_may_write_to_keeps_no_state(tmp_path: Path) -> None:
    """The state directory is as safe as the run directory, or the relay does not start."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    relay = LiveRelay(tmp_path, clients_config(own()))
    assert relay.launch().wait(60) == 1
    assert "writable by others" in relay.log()


def test_what_stands_where_a_pidfile_should_holds_nobody_up(tmp_path: Path) -> None:
    """A FIFO is not waited for: its client is denied, and the admin socket answers."""
    kinds = ("fifo", "directory", "nothing", "device")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    clients = (
        f'{kind}: {{pidfile: "{tmp_path / kind}", mode: "0666", checks: {{"123": {{urn: "*"}}}}}}' for kind in kinds
    )
    with live(tmp_path / "relay", clients_config("\n".join((*clients, own())))) as relay:
        for kind in kinds:
            assert relay.post(kind, "123").status == 403, kind
            assert relay.metric(f'sondad_relay_denied_total{{client="{kind}",reason="unreadable"}}') == "1"
            assert relay.post("agent", "123").status == 202


SILENT = """
import os, socket, sys, time
os.setgroups([]); os.setresgid(65533, 65533, 65533); os.setresuid(65533, 65533, 65533)
socks = []
for path in sys.argv[2:]:
    for _ in range(int(sys.argv[1])):
        sock = socket.socket(socket.AF_UNIX); sock.connect(path); socks.append(sock)
print("connected", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def silent_strangers(count: int, *paths: str) -> Iterator[None]:
    """Connections of another user that send nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", SILENT, str(count), *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"connected\n"
        yield
        process.stdin.close()


@needs_root
def test_silent_strangers_take_no_place_of_the_client(open_root: Path) -> None:
    """However many of them connect, the client is served; only the newest of them are kept at all."""
    with live(open_root / "relay", clients_config(own(extra='mode: "0666", max_connections: 2, '))) as relay:
        with silent_strangers(100, relay.sock("agent")):
            wait_until(
                lambda: relay.metric('sondad_relay_denied_total{client="agent",reason="uid"}') == "100", "all denied"
            )
            assert relay.admin("GET", "/state").json()["clients"]["agent"]["connections"] <= 64
            with connect(relay.sock("agent")):
                assert relay.post("agent", "123").status == 202


def test_the_admin_socket_answers_when_descriptors_are_short(tmp_path: Path) -> None:
    """Clients that hold all connections they may have cannot take the last descriptors; afterwards all is well."""
    clients = "\n".join(own(name=f"agent{number}", extra="max_connections: 1024, ") for number in range(2))
    limit = 160
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    code = (
        "import resource; from supervisor.relay.__main__ import run; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit})); run()"
    )
    assert hard > limit
    with live(tmp_path, clients_config(clients, relay="request_timeout: 60s"), program=["-c", code]) as relay:
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                for number in range(2):
                    stack.enter_context(connect(relay.sock(f"agent{number}")))
            relay.wait_for_log("too many are open")
            for _ in range(30):
                assert relay.admin("GET", "/ping").json()["status"] == "OK"
        assert relay.post("agent1", "123").status == 202


@pytest.fixture(scope="module")
def patient_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRelay]:
    with live(tmp_path_factory.mktemp("patient"), clients_config(own(), relay="max_header: 256KiB")) as relay:
        yield relay


def test_a_long_header_of_a_stranger_delays_nobody(patient_relay: LiveRelay) -> None:
    """Blanks are read once: tried from each of them anew they would take longer than anyone waits for the answer."""
    with connect(patient_relay.sock("agent")) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nX:" + b"\t" * 255_000 + b"\x7f\r\n\r\n")
        assert b" 400 " in read_all(sock)[:20]


def test_a_byte_order_mark_is_passed_over(patient_relay: LiveRelay) -> None:
    """A body that an editor wrote is taken as the control plane takes it."""
    assert patient_relay.post("agent", "123", b"\xef\xbb\xbf" + BODY).status == 202
    assert request(patient_relay.sock("agent"), "POST", "/checks/123", b"\xef\xbb\xbf").status == 400
