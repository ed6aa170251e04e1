"""The door: real workers from the template, and what can happen to them and to it."""

import gc
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from common.board import Board
from common.errors import WireError
from common.forking import SharedFiles
from common.messages import Event, Ready, Stop
from supervisor.engine.control_plane import LaunchError
from supervisor.engine.spawn import Door, WorkerProcess, exit_reason
from supervisor.engine.template import child_environment
from supervisor.host.loop import Loop
from tests.support.live_server import STOP_SECS
from tests.support.polling import wait_until
from tests.support.processes import freeze, has_ended


class Post:
    """A door on a loop that the test turns, and the workers that came through it."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.board = Board(8)
        self.door = Door(self.loop, SharedFiles(self.board.descriptor, self.board.descriptor))
        self.gone: list[WorkerProcess] = []

    def start(self, row: int = 3) -> WorkerProcess:
        worker = self.door.start(row)
        worker.on_gone = lambda: self.gone.append(worker)
        return worker

    def until(self, is_done: Callable[[], object], what: str, secs: float = 30) -> None:
        deadline = time.monotonic() + secs
        while not is_done():
            assert time.monotonic() < deadline, f"not within {secs} s: {what}"
            self.loop.turn(time.monotonic_ns() + 20_000_000)

    def born(self, row: int = 3) -> WorkerProcess:
        """Start a worker and wait until it has reported."""
        worker = self.start(row)
        assert self.event(worker) == Ready(threads=1, preloaded=True)
        self.until(lambda: worker.pid, "its process id is known")
        return worker

    def event(self, worker: WorkerProcess) -> Event:
        self.until(worker.has_event, "the worker says something")
        return worker.receive()

    def wait_gone(self, worker: WorkerProcess) -> None:
        self.until(lambda: worker in self.gone, "the worker has gone")

    def template(self) -> int:
        pid = self.door.template_pid
        assert pid is not None
        return pid

    def close(self) -> None:
        self.door.close()
        self.loop.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Post]:
    post = Post()
    yield post
    post.close()


@pytest.fixture
def post(shared: Post) -> Post:
    """A post that has seen nobody go; each test ends the workers that it has started."""
    shared.gone.clear()
    return shared


@pytest.fixture
def fresh_post() -> Iterator[Post]:
    """A post whose template is not started yet."""
    post = Post()
    yield post
    post.close()


def test_a_worker_reports_ready(post: Post) -> None:
    """A new worker has one thread, shares the template's memory and says so."""
    worker = post.born()
    assert worker.row == 3
    assert post.gone == []
    worker.kill()
    post.wait_gone(worker)
    worker.close()


def test_a_stopped_worker_ends_without_a_reason(post: Post) -> None:
    """A spare that is told to stop leaves with exit code 0."""
    worker = post.born()
    worker.send(Stop(deadline_ns=time.monotonic_ns() + 5_000_000_000))
    post.wait_gone(worker)
    assert (worker.exit_code, worker.exit_reason()) == (0, None)
    worker.close()


def test_a_killed_worker_is_told_from_others(post: Post) -> None:
    """SIGKILL shows as such, the pipe ends in one kind of error, and killing again does nothing."""
    worker = post.born()
    os.kill(worker.pid, signal.SIGKILL)
    post.wait_gone(worker)
    assert worker.exit_reason() == "killed by signal 9 (SIGKILL)"
    with pytest.raises(WireError):
        worker.receive()
    with pytest.raises(WireError):
        worker.send(Stop(deadline_ns=0))
    worker.kill()
    worker.close()


def test_a_worker_that_is_not_wanted_any_more_before_it_is_born(fresh_post: Post) -> None:
    """It is killed as soon as it is there."""
    worker = fresh_post.start()
    worker.kill()
    fresh_post.wait_gone(worker)
    assert worker.exit_code == -signal.SIGKILL
    worker.close()


def test_a_worker_that_does_not_read_holds_nobody_up(post: Post) -> None:
    """Sending to a stopped process whose pipe is full fails after a while instead of blocking the loop for ever."""
    worker = post.born()
    freeze(worker.pid)
    with pytest.raises(WireError):
        _send_until_full(worker)
    worker.kill()
    post.wait_gone(worker)
    worker.close()


def _send_until_full(worker: WorkerProcess) -> None:
    for _ in range(1_000_000):
        worker.send(Stop(deadline_ns=0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM])
def test_the_template_bears_signals(post: Post, number: signal.Signals) -> None:
    """What a terminal or an operator sends to the whole group does not end it."""
    first = post.born()
    template = post.template()
    os.kill(template, number)
    second = post.born(4)
    assert post.template() == template
    for worker in (first, second):
        worker.kill()
        post.wait_gone(worker)
        worker.close()


def test_workers_survive_their_template(post: Post) -> None:
    """When the template dies its workers go on, new ones come from a new template, and all of them can be ended."""
    worker = post.born()
    template = post.template()
    os.kill(template, signal.SIGKILL)
    post.until(lambda: post.door.template_pid is None, "the end of the template is noticed")
    successor = post.born(4)
    assert post.template() != template
    assert post.gone == []
    successor.kill()
    post.wait_gone(successor)
    worker.send(Stop(deadline_ns=time.monotonic_ns() + 5_000_000_000))
    post.wait_gone(worker)
    assert (worker.exit_code, worker.exit_reason()) == (None, None)
    worker.close()
    successor.close()


def test_a_template_that_still_imports_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command whose body is refused has started it in vain; it need not finish its own start to leave."""
    monkeypatch.setattr("supervisor.engine.template._END_SECS", 60)
    post = Post()
    post.door.open()
    template = post.door._template
    assert template is not None
    post.close()
    assert template._process.returncode == -signal.SIGKILL


def test_a_template_that_does_not_answer_is_replaced(post: Post) -> None:
    """Stopped by a signal it holds nobody up: it is killed after a while, and whoever waits for a worker is told."""
    worker = post.born()
    template = post.template()
    freeze(template)
    refused = post.start(4)
    assert post.template() == template, "asking waits for nobody"
    post.wait_gone(refused)
    assert not refused.was_born
    assert refused.exit_reason() == "the process that forks workers has ended"
    successor = post.born(5)
    assert post.template() != template
    assert worker not in post.gone
    for one in (worker, refused, successor):
        one.kill()
        post.wait_gone(one)
        one.close()


def test_without_processes_the_template_lives_on(post: Post) -> None:
    """What the system refuses is told with the limit, and the next one is born when there is room."""
    first = post.born()
    template = psutil.Process(post.template())
    # Root is exempt from the limit of processes, so it is descriptors that run out.
    limit = template.rlimit(resource.RLIMIT_NOFILE)
    template.rlimit(resource.RLIMIT_NOFILE, (4, limit[1]))
    refused = post.start(4)
    post.wait_gone(refused)
    assert "Too many open files" in (refused.exit_reason() or "")
    assert "the limit of descriptors (ulimit -n)" in (refused.exit_reason() or "")
    template.rlimit(resource.RLIMIT_NOFILE, limit)
    second = post.born(5)
    assert post.template() == template.pid
    for worker in (first, refused, second):
        worker.kill()
        post.wait_gone(worker)
        worker.close()


def test_a_reserve_of_descriptors_is_kept(post: Post) -> None:
    """Before the last descriptors are taken there is a reason instead of a worker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    post.door.open()
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        with pytest.raises(LaunchError, match=r"too many open files: the limit of descriptors"):
            post.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_worker_holds_only_what_it_needs(post: Post) -> None:
    """A worker has its pipe, the board and what its template gave it, and nothing of the other workers' pipes."""
    workers = [post.born(row) for row in (3, 4, 5)]
    last = workers[-1]
    sockets = {os.readlink(f"/proc/{last.pid}/fd/{name}") for name in os.listdir(f"/proc/{last.pid}/fd")}
    ours = {os.readlink(f"/proc/self/fd/{worker.fileno()}") for worker in workers}
    assert not sockets & ours
    assert len([link for link in sockets if link.startswith("socket:")]) == 1
    assert not [link for link in sockets if "eventpoll" in link]
    assert len(os.listdir(f"/proc/{last.pid}/fd")) <= 20
    for worker in workers:
        worker.kill()
        post.wait_gone(worker)
        worker.close()


def test_a_worker_gives_way(post: Post) -> None:
    """The kernel takes a worker before the control plane when memory runs out."""
    worker = post.born()
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert int(Path(f"/proc/{worker.pid}/oom_score_adj").read_text()) >= max(own, 500)
    assert int(Path(f"/proc/{post.template()}/oom_score_adj").read_text()) == own
    worker.kill()
    post.wait_gone(worker)
    worker.close()


def test_closing_gives_every_descriptor_back(post: Post) -> None:
    """A worker that is gone and was closed leaves no descriptor here and none in the template."""

    def cycle() -> None:
        worker = post.born(1)
        worker.kill()
        post.wait_gone(worker)
        worker.close()

    cycle()
    gc.collect()
    before = len(os.listdir("/proc/self/fd")), psutil.Process(post.template()).num_fds()
    for _ in range(5):
        cycle()
    after = len(os.listdir("/proc/self/fd")), psutil.Process(post.template()).num_fds()
    assert after[0] <= before[0]
    assert after[1] == before[1]


def test_secrets_do_not_reach_workers(fresh_post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the key nor what the service manager says is for children; our own environment is left alone."""
    monkeypatch.setenv("SONDA_API_KEY", "s3cret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    environment = child_environment(os.environ)
    assert not {"SONDA_API_KEY", "NOTIFY_SOCKET"} & set(environment)
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    worker = fresh_post.born()
    for pid in (fresh_post.template(), worker.pid):
        assert b"s3cret" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert os.environ["SONDA_API_KEY"] == "s3cret"
    worker.kill()
    fresh_post.wait_gone(worker)
    worker.close()


def test_modules_of_the_working_directory_stay_out(tmp_path: Path) -> None:
    """A folder `worker` and a file `numpy.py` where the user happens to be are not imported by any child."""
    for name in ("numpy.py", "msgspec.py", "common.py"):
        (tmp_path / name).write_text("raise SystemExit('a foreign module runs')\n")
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "__init__.py").write_text("raise SystemExit('a foreign package runs')\n")
    script = "import os, sys; sys.path[:] = [p for p in sys.path if p]\n" + textwrap.dedent("""
        from supervisor.engine import Engine
        from supervisor.engine.control_plane import LaunchError
        os.chdir(sys.argv[1])
        with Engine(spares=1) as engine:
            engine.loop.after(30, engine.loop.stop)
            engine.loop.run(engine._fleet.reconcile, until=lambda: engine.figures().spare)
            print(engine.figures().spare)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0, None),
        (-9, "killed by signal 9 (SIGKILL)"),
        (-11, "killed by signal 11 (SIGSEGV)"),
        (-40, "killed by signal 40"),
        (3, "ended with exit code 3"),
    ],
)
def test_exit_reasons(code: int, reason: str | None) -> None:
    """Every exit code reads as a sentence."""
    assert exit_reason(code) == reason


_SUPERVISOR = textwrap.dedent("""
    import signal, sys, time
    from common.board import Board
    from common.forking import SharedFiles
    from supervisor.engine.spawn import Door
    from supervisor.host.loop import Loop
    loop, board = Loop(), Board(8)
    door = Door(loop, SharedFiles(board.descriptor, board.descriptor))
    workers = [door.start(row) for row in range(3)]
    loop.after(30, loop.stop)
    loop.run(until=lambda: all(worker.pid and worker.has_event() for worker in workers))
    print(door.template_pid, *(worker.pid for worker in workers), flush=True)
    signal.pause()
""")


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """After SIGKILL of the supervisor alone no worker and no template is left, and its output pipe ends.

    Nor is shared memory: none of them has any with a name, which would stay behind.
    """
    supervisor = subprocess.Popen(
        [sys.executable, "-c", _SUPERVISOR],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
        bufsize=0,
    )
    assert supervisor.stdout is not None
    pids = [int(text) for text in supervisor.stdout.readline().split()]
    assert len(pids) == 4
    family = psutil.Process(supervisor.pid).children(recursive=True)
    assert {process.pid for process in family} == set(pids)
    mapped = {part.path for pid in (supervisor.pid, *pids) for part in psutil.Process(pid).memory_maps()}
    assert not [path for path in mapped if path.startswith("/dev/shm/")]
    supervisor.kill()
    assert supervisor.stdout.read() == b""
    supervisor.wait(STOP_SECS)
    supervisor.stdout.close()
    wait_until(lambda: all(map(has_ended, family)), "the family has gone")
    assert os.listdir(tmp_path) == []


def test_workers_import_nothing_of_the_supervisor(tmp_path: Path) -> None:
    """Started through a script that imports Falcon, a worker still maps none of it."""
    script = tmp_path / "main.py"
    script.write_text(
        textwrap.dedent("""
            import falcon, waitress, yaml
            from common.board import Board
            from common.forking import SharedFiles
            from supervisor.engine.spawn import Door
            from supervisor.host.loop import Loop
            loop, board = Loop(), Board(1)
            worker = Door(loop, SharedFiles(board.descriptor, board.descriptor)).start(0)
            loop.after(30, loop.stop)
            loop.run(until=lambda: worker.pid and worker.has_event())
            print(open(f"/proc/{worker.pid}/maps").read())
            worker.kill()
        """)
    )
    maps = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert b"numpy" in maps
    assert b"falcon" not in maps
    assert b"yaml" not in maps
