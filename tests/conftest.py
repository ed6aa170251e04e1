"""Fixtures for all tests: live daemons that must leave nothing behind."""

import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.backends.levels import alertmanager_in, level_in
from tests.support.control_group import CANNOT_LIMIT
from tests.support.last_sample import LastSample
from tests.support.live_server import LiveServer
from tests.support.shared_server import SharedServer
from tests.support.small_disk import mounted_disk
from tests.support.systemd.machine import CANNOT_BOOT
from tests.support.two_hosts import CANNOT_SEPARATE

StartServer = Callable[..., LiveServer]

# Without kept byte code every daemon that a test starts compiles the project anew, which doubles the work of its start.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A busy machine makes any example slow now and then; what hangs is ended by the time limit of its test.
hypothesis.settings.register_profile("default", deadline=None, max_examples=30)
# Of the drills: --hypothesis-profile.
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=200)
hypothesis.settings.load_profile("default")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A property that hangs ends its process; an exception in it would be one more example, to be tried again."""
    for item in items:
        if item.get_closest_marker("hypothesis") is not None:
            item.add_marker(pytest.mark.timeout(method="thread"))


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not look through it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where every real server is required, a test that is skipped has failed; not every kernel boots a container."""
    report = yield
    beyond_us = any(reason in str(report.longrepr) for reason in (CANNOT_BOOT, CANNOT_LIMIT, CANNOT_SEPARATE))
    required = os.environ.get("SONDAD_REQUIRE_BACKENDS") == "1" and not beyond_us
    if report.skipped and required:
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start daemons; arguments as for `LiveServer`, without the directory.

    Afterwards those still running are stopped, must exit with 0 in time, and nothing may be left of any of them. No log
    may show a traceback: nothing that a test does surprises a daemon.
    """
    servers: list[LiveServer] = []

    def start(*arguments: str, **options: Any) -> LiveServer:
        directory = tmp_path / f"daemon-{len(servers)}"
        directory.mkdir()
        servers.append(LiveServer(directory, *arguments, **options))
        return servers[-1]

    yield start
    try:
        for server in servers:
            if server.process.returncode is None:
                assert server.stop() == 0
            server.assert_nothing_left()
            assert "Traceback" not in server.log()
    finally:
        for server in servers:
            print(f"--- log of the daemon on port {server.port}\n{server.log()}")
            server.kill()
            server.close()


@pytest.fixture
def server(start_server: StartServer) -> LiveServer:
    """One daemon with default settings."""
    return start_server()


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    """What `shared_server` is made of."""
    shared = SharedServer(tmp_path_factory.mktemp("shared"))
    yield shared
    shared.close()


@pytest.fixture
def shared_server(shared_daemon: SharedServer) -> Iterator[LiveServer]:
    """A daemon with default settings that many tests use, one after the other: quicker than one for each.

    It looks like a new one, except for counters and for what it said at its start. Tests that stop it, kill parts of it
    or measure it take `server`.
    """
    server = shared_daemon.begin()
    yield server
    print(f"--- log of the shared daemon\n{server.log()}")
    shared_daemon.end()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    with mounted_disk(tmp_path / "disk", "2m") as folder:
        yield folder


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 KiB."""
    with mounted_disk(tmp_path / "disk", "600k") as folder:
        yield folder


@pytest.fixture
def level(tmp_path: Path) -> Iterator[LastSample]:
    """What the rules of `tests.support.backends.levels` are about, served to a Prometheus."""
    with level_in(tmp_path) as served:
        yield served


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """The address of an Alertmanager."""
    with alertmanager_in(tmp_path) as address:
        yield address
