"""The daemon under a service manager: it says when it is ready, that it is alive, and that it is leaving."""

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartServer


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that a service manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


def test_ready_alive_stopping(start_server: StartServer, manager: socket.socket) -> None:
    """READY=1 comes once, the watchdog is fed from then on, STOPPING=1 follows the signal; workers can say nothing."""
    path = manager.getsockname()
    server = start_server(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
    said = [manager.recv(100) for _ in range(5)]
    assert sorted(set(said)) == [b"READY=1", b"WATCHDOG=1"]
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
