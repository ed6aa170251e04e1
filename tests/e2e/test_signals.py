"""What a signal does to the daemon, alone or with its whole process group: nothing that was counted is lost."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.live_server import STOP_SECS, LiveServer
from tests.support.polling import wait_until
from tests.support.receiver import Receiver

BODY = """
version: 2
scenarios:
  - id: up
    signal_type: metrics
    name: up
    rate: 100
    generator: {type: step, step_size: 1}
    sink: {type: http_push, url: "%s", batch_size: 1000000000, max_buffer_age: 0s}
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def to_the_daemon(server: LiveServer, number: int) -> None:
    server.process.send_signal(number)


def to_the_group(server: LiveServer, number: int) -> None:
    os.killpg(server.pid, number)


both = pytest.mark.parametrize("send", [to_the_daemon, to_the_group], ids=["daemon", "group"])


@both
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_the_daemon_and_loses_nothing(
    start_server: StartServer, receiver: Receiver, send: Callable[[LiveServer, int], None], number: int
) -> None:
    """Exit code 0, and the receiver has each event that was counted."""
    server = start_server()
    (row,) = server.launch(BODY % receiver.url)
    server.wait_for_events(row["id"], 20)
    send(server, number)
    assert server.process.wait(STOP_SECS) == 0
    (joined,) = server.log_lines("scenario task joined")
    counted = re.search(r"total_events=(\d+)", joined)
    assert counted is not None
    lines = [line for body in receiver.kept for line in body.decode().splitlines()]
    assert [int(line.split()[1]) for line in lines] == list(range(int(counted[1])))


@both
def test_signals_without_a_meaning_are_ignored(
    shared_server: LiveServer, receiver: Receiver, send: Callable[[LiveServer, int], None]
) -> None:
    """The scenario goes on, in the same process, and so does everything else: the next one starts as ever."""
    server = shared_server
    (row,) = server.launch(BODY % receiver.url)
    server.wait_for_events(row["id"], 1)
    before = {process.pid for process in server.descendants()}
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
        send(server, number)
    seen = server.stats(row["id"])["total_events"]
    server.wait_for_events(row["id"], seen + 20)
    assert before <= {process.pid for process in server.descendants()}
    server.launch(BODY % receiver.url)


def test_a_hangup_of_the_group_leaves_a_daemon_of_a_service_manager_whole(
    start_server: StartServer, receiver: Receiver, tmp_path: Path
) -> None:
    """It reads its catalog, names what is broken, and everything goes on."""
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    (catalog / "broken.yaml").write_text("version: 2\nkind: [")
    server = start_server("--catalog", str(catalog), environment={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    (row,) = server.launch(BODY % receiver.url)
    before = {process.pid for process in server.descendants()}
    to_the_group(server, signal.SIGHUP)
    server.wait_for_log("reload: the catalog was read")
    assert server.log_lines("broken.yaml")
    seen = server.stats(row["id"])["total_events"]
    server.wait_for_events(row["id"], seen + 20)
    assert before <= {process.pid for process in server.descendants()}


def test_a_terminal_that_closes_ends_a_run_and_loses_nothing(receiver: Receiver, tmp_path: Path) -> None:
    """`sondad run`, hung up with its whole group: what was sent before and what waited is one row of ticks; exit 0."""
    scenario = tmp_path / "up.yaml"
    scenario.write_text((BODY % receiver.url).replace("1000000000", "200"))
    command = [str(Path(sys.executable).with_name("sondad")), "run", str(scenario)]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as run:
        wait_until(lambda: receiver.kept, "a first request")
        os.killpg(run.pid, signal.SIGHUP)
        assert run.wait(STOP_SECS) == 0
    lines = [line for body in receiver.kept for line in body.decode().splitlines()]
    assert [int(line.split()[1]) for line in lines] == list(range(len(lines)))
