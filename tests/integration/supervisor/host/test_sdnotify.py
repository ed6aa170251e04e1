"""Notifications to the service manager, over a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.host.sdnotify import ServiceManager


@pytest.fixture
def manager_socket(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        yield listener


def test_every_state_is_one_datagram(manager_socket: socket.socket) -> None:
    """Ready, alive and stopping arrive as the assignments that systemd documents, in order."""
    manager = ServiceManager({"NOTIFY_SOCKET": manager_socket.getsockname()})
    manager.ready()
    manager.alive()
    manager.stopping()
    assert [manager_socket.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_an_abstract_address_is_understood() -> None:
    """An address that starts with @ lies in the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0sondad-test-{os.getpid()}")
        listener.settimeout(30)
        ServiceManager({"NOTIFY_SOCKET": f"@sondad-test-{os.getpid()}"}).ready()
        assert listener.recv(100) == b"READY=1"


def test_children_cannot_answer_for_the_daemon(manager_socket: socket.socket) -> None:
    """The three variables are gone from the environment that children inherit; nothing else is."""
    environment = {
        "NOTIFY_SOCKET": manager_socket.getsockname(),
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/root",
    }
    ServiceManager(environment)
    assert environment == {"HOME": "/root"}


@pytest.mark.parametrize(
    ("variables", "period_secs"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_period(variables: dict[str, str], period_secs: float | None) -> None:
    """The period is half of what the manager tolerates, and none when it watches nobody or somebody else."""
    assert ServiceManager({"NOTIFY_SOCKET": "/run/notify", **variables}).watchdog_period_secs == period_secs


def test_a_daemon_started_by_hand_tells_nobody() -> None:
    """Without a notification socket there is no watchdog, and every call does nothing."""
    manager = ServiceManager({"WATCHDOG_USEC": "3000000"})
    assert manager.watchdog_period_secs is None
    manager.ready()
    manager.stopping()


def test_a_manager_that_has_gone_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A socket that nobody reads any more costs a log line, never the daemon."""
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert "cannot tell the service manager READY=1" in caplog.text
