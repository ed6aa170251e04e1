"""The kernel decides who a peer is: real users, real processes, real pids."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live_relay import BODY, LiveRelay, clients_config, connect, live, read_all, request
from tests.support.polling import wait_until
from tests.support.processes import frozen

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: peers run under other user ids")

STRANGER = 65533
SLICE = f"relay-test-{os.getpid()}.slice"
REQUEST = (
    b"POST /checks/123 HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
)
CONNECT = """
import os, socket, sys
path, uid, gid, groups, then = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), eval(sys.argv[4]), sys.argv[5]
os.setgroups(groups); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, 0)
sock = socket.socket(socket.AF_UNIX)
sock.connect(path)
if then != "same":
    os.setresuid(0, 0, 0); os.setresuid(int(then), int(then), int(then))
sock.sendall(sys.stdin.buffer.read())
while piece := sock.recv(65536):
    sys.stdout.buffer.write(piece)
"""


@pytest.fixture(scope="module")
def relay() -> Iterator[LiveRelay]:
    # Not under pytest's own directory, which is closed to other users.
    root = Path(tempfile.mkdtemp(prefix="relay-"))
    root.chmod(0o755)
    try:
        yield from serve(root)
    finally:
        shutil.rmtree(root)


def serve(root: Path) -> Iterator[LiveRelay]:
    check = 'checks: {"123": {urn: "*"}}'
    config = clients_config(
        f'root: {{uid: 0, mode: "0666", {check}}}\n'
        f'user: {{uid: 2105, mode: "0666", {check}}}\n'
        f"private: {{uid: 2105, {check}}}\n"
        f"group: {{gid: 2200, {check}}}\n"
        f'opengroup: {{gid: 2200, mode: "0666", {check}}}\n'
        f'exe: {{exe: "{os.path.realpath(sys.executable)}", {check}}}\n'
        f'otherexe: {{exe: "/bin/true", {check}}}\n'
        f'cgroup: {{cgroup: "/", {check}}}\n'
        f'othercgroup: {{cgroup: "/no/such", {check}}}\n'
        f'unit: {{unit: "no-such-*.service", {check}}}\n'
        f'backup: {{unit: "relay-test-*.service", {check}}}\n'
        f'slice: {{cgroup: "/{SLICE}", {check}}}\n'
        f'pidfile: {{pidfile: "{root}/agent.pid", mode: "0666", {check}}}\n'
        f'both: {{uid: 0, pidfile: "{root}/none.pid", {check}}}'
    )
    with live(root, config) as started:
        yield started


def post_as(
    path: str, uid: int, gid: int = 0, groups: tuple[int, ...] = (), then: str = "same", cgroup: Path | None = None
) -> bytes:
    """Post a check update from a process of other ids; `then` is the uid it takes after connecting."""
    arguments = [sys.executable, "-c", CONNECT, path, str(uid), str(gid), repr(list(groups)), then]
    if cgroup is not None:
        # A shell that moves itself, as the service manager does before it runs a unit.
        arguments = ["/bin/sh", "-c", 'echo 0 > "$0" && exec "$@"', str(cgroup / "cgroup.procs"), *arguments]
    return subprocess.run(arguments, input=REQUEST, capture_output=True, check=True, timeout=20).stdout


@pytest.fixture
def unit_cgroup() -> Iterator[Path]:
    """A control group inside that of a service inside that of a slice, as systemd would make them."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    roots = [fields[4] for fields in mounts if fields[fields.index("-") + 1] == "cgroup2"]
    if not roots:
        pytest.skip("no unified control group hierarchy is mounted")
    folders = [Path(roots[0], SLICE)]
    folders += [folders[0] / "relay-test-7.service", folders[0] / "relay-test-7.service" / "worker"]
    try:
        for folder in folders:
            try:
                folder.mkdir()
            except OSError as error:
                pytest.skip(f"control groups cannot be made here: {error}")
        yield folders[-1]
    finally:
        for folder in reversed(folders):
            if folder.exists():
                folder.rmdir()


def test_another_user_is_refused_on_a_world_writable_socket(relay: LiveRelay) -> None:
    """On a 0666 socket the stranger's request is answered 403, and only a counter and a log line remember it."""
    assert os.stat(relay.sock("root")).st_mode & 0o777 == 0o666
    answer = post_as(relay.sock("root"), STRANGER)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b'"code":"NotAuthorized","message":"client is not authorized"' in answer
    assert relay.check("root", "123")["status"] is None
    assert relay.metric('sondad_relay_denied_total{client="root",reason="uid"}') == "1"
    relay.wait_for_log(f"uid {STRANGER}")


def test_the_configured_user_is_accepted_and_recorded(relay: LiveRelay) -> None:
    """The state shows the kernel's credentials of the peer."""
    assert post_as(relay.sock("user"), 2105, 2106).startswith(b"HTTP/1.1 202 ")
    peer = relay.check("user", "123")["peer"]
    assert (peer["uid"], peer["gid"]) == (2105, 2106)


def test_root_has_no_privilege(relay: LiveRelay) -> None:
    """Uid 0 matches only where it is configured."""
    assert request(relay.sock("user"), "POST", "/checks/123", BODY).status == 403


def test_setuid_after_connect_changes_nothing(relay: LiveRelay) -> None:
    """The ids are those at connect: dropping to the right user later does not help, nor does leaving it harm."""
    assert post_as(relay.sock("user"), STRANGER, then="2105").startswith(b"HTTP/1.1 403 ")
    assert post_as(relay.sock("user"), 2105, then=str(STRANGER)).startswith(b"HTTP/1.1 202 ")


def test_the_socket_belongs_to_the_configured_user(relay: LiveRelay) -> None:
    """Owner and mode follow the identity: the user alone, or the group."""
    found = os.stat(relay.sock("private"))
    assert (found.st_uid, found.st_mode & 0o777) == (2105, 0o600)
    found = os.stat(relay.sock("group"))
    assert (found.st_gid, found.st_mode & 0o777) == (2200, 0o660)


@pytest.mark.parametrize(("gid", "groups", "status"), [(2200, (), 202), (1, (7, 2200), 202), (1, (7,), 403)])
def test_supplementary_groups_count(relay: LiveRelay, gid: int, groups: tuple[int, ...], status: int) -> None:
    """The peer's gid or one of its supplementary groups has to be the configured one."""
    assert post_as(relay.sock("opengroup"), 2105, gid, groups).startswith(b"HTTP/1.1 %d " % status)


def test_a_peer_of_many_groups_is_recognised(relay: LiveRelay) -> None:
    """More supplementary groups than fit into one small read are read, too."""
    assert post_as(relay.sock("opengroup"), 2105, 1, tuple(range(1900, 2201))).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize(
    ("client", "status"), [("exe", 202), ("otherexe", 403), ("cgroup", 202), ("othercgroup", 403), ("unit", 403)]
)
def test_executable_cgroup_and_unit(relay: LiveRelay, client: str, status: int) -> None:
    """What /proc says about the living peer has to match."""
    assert request(relay.sock(client), "POST", "/checks/123", BODY).status == status


def test_a_process_of_the_unit_is_accepted(relay: LiveRelay, unit_cgroup: Path) -> None:
    """Below the unit's control group counts; beside it, or above it, does not."""
    assert post_as(relay.sock("backup"), 0, cgroup=unit_cgroup).startswith(b"HTTP/1.1 202 ")
    assert post_as(relay.sock("backup"), 0, cgroup=unit_cgroup.parent).startswith(b"HTTP/1.1 202 ")
    assert post_as(relay.sock("backup"), 0, cgroup=unit_cgroup.parent.parent).startswith(b"HTTP/1.1 403 ")
    assert post_as(relay.sock("backup"), 0).startswith(b"HTTP/1.1 403 ")
    assert relay.metric('sondad_relay_denied_total{client="backup",reason="unit"}') == "2"
    assert post_as(relay.sock("unit"), 0, cgroup=unit_cgroup).startswith(b"HTTP/1.1 403 ")


def test_a_process_below_the_control_group_is_accepted(relay: LiveRelay, unit_cgroup: Path) -> None:
    """The path is compared by whole components."""
    assert post_as(relay.sock("slice"), 0, cgroup=unit_cgroup).startswith(b"HTTP/1.1 202 ")
    assert post_as(relay.sock("slice"), 0).startswith(b"HTTP/1.1 403 ")


def test_all_attributes_must_match(relay: LiveRelay) -> None:
    """The right user without the pidfile is refused."""
    assert request(relay.sock("both"), "POST", "/checks/123", BODY).status == 403


def test_a_pidfile_names_the_peer(relay: LiveRelay) -> None:
    """The process whose pid is in the file is accepted, others are not."""
    pidfile = relay.root / "agent.pid"
    pidfile.write_text(f"{os.getpid()}\n")
    assert request(relay.sock("pidfile"), "POST", "/checks/123", BODY).status == 202
    assert post_as(relay.sock("pidfile"), 0).startswith(b"HTTP/1.1 403 ")


def fork_with_pid(pid: int) -> int | None:
    """Fork until the child has the pid `pid`; returns it in the parent, 0 in the child, None when others keep it."""
    for _ in range(20):
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        child = os.fork()
        if child in (0, pid):
            if child == 0 and os.getpid() != pid:
                os._exit(0)
            return child
        os.waitpid(child, 0)
    return None


def test_a_reused_pid_does_not_pass_the_pidfile_left_behind(relay: LiveRelay) -> None:
    """The agent died and left its pidfile; a stranger that got its number is younger than the file."""
    pidfile = relay.root / "agent.pid"
    reader, writer = os.pipe()
    for _ in range(20):
        agent = subprocess.Popen(["true"])
        agent.wait()
        pidfile.write_text(f"{agent.pid}\n")
        os.utime(pidfile, (1_000_000_000, 1_000_000_000))
        child = fork_with_pid(agent.pid)
        if child is not None:
            break
    else:
        pytest.fail("other processes took every pid")
    if child == 0:
        with connect(relay.sock("pidfile")) as sock:
            sock.sendall(REQUEST)
            os.write(writer, read_all(sock)[:12])
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    assert os.read(reader, 100) == b"HTTP/1.1 403"
    os.close(reader)


def connect_and_die(path: str) -> tuple[socket.socket, int]:
    """Return a connection that a process made which has ended since, and the pid of that process."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    stranger = os.fork()
    if stranger == 0:
        sock.connect(path)
        sock.sendall(REQUEST)
        os._exit(0)
    os.waitpid(stranger, 0)
    return sock, stranger


def test_a_dead_peer_does_not_pass_the_pidfile_of_its_successor(relay: LiveRelay) -> None:
    """A stranger connects and dies; the agent that gets its number does not vouch for the old connection."""
    relay_process = relay.process
    assert relay_process is not None

    def denied_as_dead() -> int:
        # Before Linux 6.16 a dead peer has no pidfd any more, since then it has one that says so.
        series = 'sondad_relay_denied_total{client="pidfile",reason="%s"}'
        return sum(int(relay.metric(series % reason) or "0") for reason in ("dead", "unreadable"))

    before = denied_as_dead()
    reader, writer = os.pipe()
    with frozen(relay_process.pid):  # the connection waits in the backlog
        for _ in range(20):
            sock, stranger = connect_and_die(relay.sock("pidfile"))
            agent = fork_with_pid(stranger)
            if agent is not None:
                break
            sock.close()
        else:
            pytest.fail("other processes took every pid")
        if agent == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        (relay.root / "agent.pid").write_text(f"{agent}\n")
    wait_until(lambda: denied_as_dead() > before, "the dead peer is denied")
    assert read_all(sock).startswith(b"HTTP/1.1 403 ")
    sock.close()
    os.close(reader)
    os.close(writer)
    os.waitpid(agent, 0)
