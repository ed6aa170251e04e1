"""The daemon under a service manager: it says when it is ready, that it is alive, and that it is leaving."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartServer
from tests.support.live_server import COMMAND

# What the manager does between fork and exec: the socket becomes descriptor 3, and the variables name the new process.
HANDING_OVER = """
import os, sys
descriptor, *command = sys.argv[1:]
if int(descriptor) != 3:
    os.dup2(int(descriptor), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "sondad.socket"}
os.execv(command[0], command)
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that a service manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        yield listener


def test_ready_alive_stopping(start_server: StartServer, manager: socket.socket) -> None:
    """READY=1 comes once, the watchdog is fed from then on, STOPPING=1 follows the signal; workers can say nothing."""
    path = manager.getsockname()
    server = start_server(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
    said = [manager.recv(100) for _ in range(6)]
    assert sorted(set(said)) == [
        b"READY=1",
        f"STATUS=listening on 127.0.0.1:{server.port}; scenarios running: 0".encode(),
        b"WATCHDOG=1",
    ]
    assert said.count(b"READY=1") == 1
    for child in server.descendants():
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(psutil.Process(child.pid).environ())

    assert server.stop() == 0
    manager.setblocking(False)
    rest = []
    while True:
        try:
            rest.append(manager.recv(100))
        except BlockingIOError:
            break
    assert b"STOPPING=1" in rest


def test_a_socket_of_the_manager_outlives_the_daemon(start_server: StartServer) -> None:
    """It is served instead of an address of the daemon's own; who connects during a restart waits, and is answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        command = (sys.executable, "-c", HANDING_OVER, str(listener.fileno()), COMMAND)
        first = start_server(command=command, pass_fds=(listener.fileno(),))
        assert first.port == address[1]
        assert first.get("/health").status_code == 200
        for process in first.descendants():
            assert not [name for name in process.environ() if name.startswith("LISTEN_")]
        assert first.stop() == 0
        with socket.create_connection(address) as waiting:
            waiting.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            start_server(command=command, pass_fds=(listener.fileno(),))
            waiting.settimeout(20)
            assert waiting.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_socket_that_is_not_tcp_is_refused(tmp_path: Path) -> None:
    """The error says what the socket unit has to say instead."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        ended = subprocess.run(
            [sys.executable, "-c", HANDING_OVER, str(listener.fileno()), COMMAND],
            pass_fds=(listener.fileno(),),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert "Error: the socket unit must listen on TCP: ListenStream=ADDRESS:PORT and Accept=no" in ended.stderr
