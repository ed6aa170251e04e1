"""The door: real workers from the template, and what can happen to them."""

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest

from common.board import Board
from common.errors import WireError
from common.messages import Event, Ready, Stop
from supervisor.engine.control_plane import LaunchError
from supervisor.engine.spawn import Door, WorkerProcess, exit_reason
from tests.support.polling import wait_until


@pytest.fixture
def board() -> Board:
    return Board(8)


@pytest.fixture
def door(board: Board) -> Door:
    return Door(board.descriptor)


@pytest.fixture
def worker(door: Door) -> Iterator[WorkerProcess]:
    worker = door.start(3)
    yield worker
    worker.kill()
    wait_until(worker.has_ended, "the worker has gone")
    worker.close()


def _template_pid() -> int:
    return int(forkserver._forkserver._forkserver_pid)


def _readable(descriptor: int, timeout_secs: float = 10) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_secs * 1000))


def _event(worker: WorkerProcess) -> Event:
    assert _readable(worker.fileno(), 30)
    return worker.receive()


def test_a_worker_reports_ready(worker: WorkerProcess) -> None:
    """A new worker has one thread, shares the template's memory and says so."""
    assert _event(worker) == Ready(threads=1, preloaded=True)
    assert worker.row == 3
    assert not worker.has_ended()


def test_a_stopped_worker_ends_without_a_reason(worker: WorkerProcess) -> None:
    """A spare that is told to stop leaves with exit code 0."""
    _event(worker)
    worker.send(Stop(deadline_ns=time.monotonic_ns() + 5_000_000_000))
    assert _readable(worker.watched)
    assert worker.has_ended()
    assert worker.exit_reason() is None


def test_a_killed_worker_is_told_from_others(worker: WorkerProcess) -> None:
    """SIGKILL shows as such, the pipe ends in one kind of error, and killing again does nothing."""
    _event(worker)
    os.kill(worker.pid, signal.SIGKILL)
    assert _readable(worker.watched)
    assert worker.has_ended()
    assert worker.exit_reason() == "killed by signal 9 (SIGKILL)"
    with pytest.raises(WireError):
        worker.receive()
    with pytest.raises(WireError):
        worker.send(Stop(deadline_ns=0))
    worker.kill()


def _send_until_full(worker: WorkerProcess) -> None:
    for _ in range(1_000_000):
        worker.send(Stop(deadline_ns=0))


def test_a_worker_that_does_not_read_holds_nobody_up(worker: WorkerProcess) -> None:
    """Sending to a stopped process whose pipe is full fails after a while instead of blocking the loop for ever."""
    _event(worker)
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(WireError):
        _send_until_full(worker)


def test_workers_survive_their_template(door: Door, worker: WorkerProcess) -> None:
    """When the template dies its workers are not taken for dead, go on, and new ones come from a new template."""
    _event(worker)
    template = _template_pid()
    os.kill(template, signal.SIGKILL)
    watched = worker.watched
    assert _readable(watched)
    assert not worker.has_ended()
    assert worker.watched != watched

    successor = wait_until(lambda: _started(door, 4), "a new template")
    assert _event(successor) == Ready(threads=1, preloaded=True)
    assert _template_pid() != template
    successor.kill()
    wait_until(successor.has_ended, "the worker has gone")
    successor.close()

    assert not worker.has_ended()
    worker.send(Stop(deadline_ns=time.monotonic_ns() + 5_000_000_000))
    assert _readable(worker.watched)
    assert worker.has_ended()
    assert worker.exit_reason() == "ended for an unknown reason: its exit code is lost"


def _started(door: Door, row: int) -> WorkerProcess | None:
    try:
        return door.start(row)
    except LaunchError:
        # The old template is still on its way out.
        return None


def test_a_worker_holds_only_what_it_needs(door: Door, worker: WorkerProcess, board: Board) -> None:
    """A worker has its pipe, the board and what its template gave it, and nothing of the other workers' pipes."""
    _event(worker)
    others = [door.start(row) for row in (4, 5)]
    for other in others:
        _event(other)
    last = others[-1]
    sockets = {os.readlink(f"/proc/{last.pid}/fd/{name}") for name in os.listdir(f"/proc/{last.pid}/fd")}
    ours = {os.readlink(f"/proc/self/fd/{name.fileno()}") for name in (worker, *others)}
    assert not sockets & ours
    assert len([link for link in sockets if link.startswith("socket:")]) == 1
    assert not [link for link in sockets if "eventpoll" in link]
    assert len(os.listdir(f"/proc/{last.pid}/fd")) <= 20
    for other in others:
        other.kill()
        wait_until(other.has_ended, "the worker has gone")
        other.close()


def test_closing_gives_every_descriptor_back(door: Door) -> None:
    """A worker that has ended and was closed leaves no descriptor in this process."""
    door.start(0).kill()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        worker = door.start(1)
        _event(worker)
        worker.kill()
        wait_until(worker.has_ended, "the worker has gone")
        worker.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_secrets_do_not_reach_workers(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the key nor the service manager's socket is in the environment that children inherit."""
    monkeypatch.setenv("SONDA_API_KEY", "s3cret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    Door(board.descriptor)
    assert "SONDA_API_KEY" not in os.environ
    assert "NOTIFY_SOCKET" not in os.environ


def test_nothing_of_the_template_has_a_name(door: Door) -> None:
    """The template's socket is not in the file system, so a killed supervisor leaves no file."""
    del door
    sockets = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()[1:] if "/sondad-" in line}
    assert not [path for path in sockets if Path(path).exists()]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0, None),
        (-9, "killed by signal 9 (SIGKILL)"),
        (-11, "killed by signal 11 (SIGSEGV)"),
        (-40, "killed by signal 40"),
        (3, "ended with exit code 3"),
        (255, "ended for an unknown reason: its exit code is lost"),
    ],
)
def test_exit_reasons(code: int, reason: str | None) -> None:
    """Every exit code reads as a sentence."""
    assert exit_reason(code) == reason


_SUPERVISOR = textwrap.dedent("""
    import select, signal, sys
    from common.board import Board
    from supervisor.engine.spawn import Door
    board = Board(8)
    door = Door(board.descriptor)
    workers = [door.start(row) for row in range(3)]
    for worker in workers:
        select.select([worker], [], [], 30)
        worker.receive()
    print(*(worker.pid for worker in workers), flush=True)
    signal.pause()
""")


def test_nothing_outlives_a_killed_supervisor() -> None:
    """After SIGKILL of the supervisor alone no worker, template or tracker is left, and its output pipe ends."""
    before = set(os.listdir("/dev/shm")) | set(os.listdir("/tmp"))
    supervisor = subprocess.Popen(
        [sys.executable, "-c", _SUPERVISOR], stdout=subprocess.PIPE, start_new_session=True, bufsize=0
    )
    assert supervisor.stdout is not None
    pids = [int(text) for text in supervisor.stdout.readline().split()]
    assert len(pids) == 3
    family = psutil.Process(supervisor.pid).children(recursive=True)
    assert {process.pid for process in family} > set(pids)
    supervisor.kill()
    assert supervisor.stdout.read() == b""
    supervisor.wait(10)
    supervisor.stdout.close()
    wait_until(lambda: not [process for process in family if _alive(process)], "the family has gone", 2)
    left = (set(os.listdir("/dev/shm")) | set(os.listdir("/tmp"))) - before
    assert not [name for name in left if "sondad" in name or "pymp" in name]


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_workers_import_nothing_of_the_supervisor(tmp_path: Path) -> None:
    """Started through a script that imports Falcon, a worker still maps none of it."""
    script = tmp_path / "main.py"
    script.write_text(
        textwrap.dedent("""
            import select
            import falcon, waitress, yaml
            from common.board import Board
            from supervisor.engine.spawn import Door
            board = Board(1)
            worker = Door(board.descriptor).start(0)
            select.select([worker], [], [], 30)
            worker.receive()
            print(open(f"/proc/{worker.pid}/maps").read())
            worker.kill()
        """)
    )
    maps = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert b"numpy" in maps
    assert b"falcon" not in maps
    assert b"yaml" not in maps
