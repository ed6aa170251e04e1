"""Fixtures for all tests: live daemons that must leave nothing behind."""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.live_server import LiveServer

StartServer = Callable[..., LiveServer]
CANNOT_BOOT = "no machine with systemd can be booted"

# A busy machine makes any example slow now and then; what hangs is ended by the time limit of its test.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("default")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where every real server is required, a test that is skipped has failed; not every kernel boots a container."""
    report = yield
    required = os.environ.get("SONDAD_REQUIRE_BACKENDS") == "1" and CANNOT_BOOT not in str(report.longrepr)
    if report.skipped and required:
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start daemons; arguments as for `LiveServer`, without the directory.

    Afterwards those still running are stopped, must exit with 0 in time, and nothing may be left of any of them.
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
    finally:
        for server in servers:
            print(f"--- log of the daemon on port {server.port}\n{server.log()}")
            server.kill()
            server.close()


@pytest.fixture
def server(start_server: StartServer) -> LiveServer:
    """One daemon with default settings."""
    return start_server()
