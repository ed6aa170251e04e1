"""Drills in a control group of the daemon's own, whose limits the kernel enforces."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from tests.conftest import StartServer
from tests.support.control_group import CANNOT_LIMIT, LimitedGroup
from tests.support.filling import body_of, fill, outlives, steady
from tests.support.live_server import COMMAND
from tests.support.polling import wait_until
from tests.support.processes import titled

MIB = 2**20

KEPT: dict[str, Any] = {"type": "memory", "capture": True, "max_events": 2**40}
"""All that is generated stays in the worker's memory."""


MakeGroup = Callable[..., LimitedGroup]


@pytest.fixture
def make_group() -> Iterator[MakeGroup]:
    """Make control groups that are removed when the test's daemons have gone; to be asked for before them."""
    with ExitStack() as made:

        def make(**limits: int) -> LimitedGroup:
            try:
                group = LimitedGroup(f"sondad-test-{os.getpid()}", **limits)
            except OSError as error:
                pytest.skip(f"{CANNOT_LIMIT}: {error}")
            made.callback(group.remove)
            return group

        yield make


def test_processes_run_out(make_group: MakeGroup, start_server: StartServer) -> None:
    """Sixty processes: the refusal names the limit, nothing is lost, and there is room after a DELETE."""
    group = make_group(processes=60)
    server = start_server(command=group.command(COMMAND))
    launched, refusal = fill(server, 60)
    assert "the control group's limit of 60 processes (pids.max) leaves room for 0" in refusal
    assert len(launched) >= 30
    outlives(server, launched)
    assert server.stop() == 0


def test_a_daemon_without_room_for_a_worker_says_so(make_group: MakeGroup, start_server: StartServer) -> None:
    """It announces its port all the same, with a warning, and every POST names the limit."""
    usual = start_server()
    own = psutil.Process(usual.pid).num_threads() + 1
    assert usual.stop() == 0
    server = start_server(command=make_group(processes=own + 4).command(COMMAND))
    assert server.wait_for_log("no worker is ready yet")
    assert server.get("/health").status_code == 200
    launched, refusal = fill(server, 1)
    assert launched == []
    assert f"the control group's limit of {own + 4} processes (pids.max)" in refusal
    assert server.stop() == 0


def test_a_start_without_threads_is_one_line(make_group: MakeGroup) -> None:
    """The limit is named, and there is no traceback."""
    command = make_group(processes=8).command(COMMAND, "--port", "0")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert line.startswith("Error: the machine does not give a thread: the limit of processes (pids.max")


def test_memory_runs_out(make_group: MakeGroup, start_server: StartServer) -> None:
    """Three hundred megabytes: the same, and the kernel has killed nobody."""
    group = make_group(memory_bytes=300 * MIB)
    server = start_server(command=group.command(COMMAND))
    launched, refusal = fill(server, 300)
    assert "the control group's limit of memory (memory." in refusal
    assert len(launched) >= 30
    outlives(server, launched)
    assert group.oom_kills() == 0
    assert server.stop() == 0


@pytest.mark.parametrize("attempt", range(4))
def test_the_kernel_kills_who_took_the_memory(make_group: MakeGroup, start_server: StartServer, attempt: int) -> None:
    """The reason says that memory was short; the daemon, its template and the other scenarios live on."""
    group = make_group(memory_bytes=300 * MIB)
    server = start_server(command=group.command(COMMAND))
    others = [one["id"] for one in server.launch(body_of(*(steady(f"other{index}") for index in range(8))))]
    lasting = {one.pid for one in titled(psutil.Process(server.pid).children(), "template")} | {server.pid}
    (greedy,) = server.launch(body_of(steady("greedy", rate=1e6, sink=KEPT)))
    server.wait_for_state(greedy["id"], "finished", 60)
    detail = server.get(f"/scenarios/{greedy['id']}").json()
    assert detail["exit_reason"] == "killed by signal 9 (SIGKILL): memory was short"
    assert group.oom_kills() == 1
    before = {one: server.stats(one)["total_events"] for one in others}
    for one, events in before.items():
        assert server.wait_for_events(one, events + 1)["state"] == "running"
    assert lasting <= {server.pid} | {one.pid for one in server.descendants()}
    wait_until(lambda: server.post(body_of(steady("again"))).status_code == 201, "there is room again")
    assert server.stop() == 0
