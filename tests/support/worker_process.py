"""Real worker processes over a real pipe and a real board, without a supervisor."""

import multiprocessing
import operator
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import worker.main
from common.board import Board, Recent
from common.checkpoints import Checkpoints
from common.counters import Counters
from common.forking import SharedFiles
from common.messages import Command, Event, Finished, Host, Prepared, Ready, Run, Start, Stop
from common.plan import EntryPlan
from common.wire import receive_event, send

E = TypeVar("E")


class Descriptor:
    """Arrives in the child as a plain number; pickled by means of the standard library alone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return operator.methodcaller("detach"), (reduction.DupFd(self._descriptor),)


def _run(connection: Connection, board_descriptor: int, checkpoints_descriptor: int, row: int) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    worker.main.run(connection, SharedFiles(board_descriptor, checkpoints_descriptor), row, parent.sentinel)


class WorkerProcess:
    """One worker and everything a supervisor sees of it."""

    def __init__(self, board: Board, row: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["worker.preload"])
        self.connection, theirs = context.Pipe()
        self.board = board
        self.row = board.row(row)
        self.events: list[Event] = []
        self.checkpoints = Checkpoints(board.rows)
        files = Descriptor(board.descriptor), Descriptor(self.checkpoints.descriptor)
        self.process = context.Process(target=_run, args=(theirs, *files, row), daemon=True)
        self.process.start()
        theirs.close()

    def send(self, command: Command) -> None:
        send(self.connection, command)

    def wait_for(self, kind: type[E], timeout_secs: float = 30) -> E:
        """Return the next event of `kind`; others that come before are kept in `events`."""
        deadline = time.monotonic() + timeout_secs
        while True:
            assert self.connection.poll(max(deadline - time.monotonic(), 0)), f"no {kind.__name__} in {timeout_secs} s"
            event = receive_event(self.connection)
            self.events.append(event)
            if isinstance(event, kind):
                return event

    def prepare(self, plan: EntryPlan) -> None:
        self.wait_for(Ready)
        self.send(Run(scenario_id="0" * 8, entry=plan))
        self.wait_for(Prepared)

    def start(self, plan: EntryPlan) -> int:
        """Start the run now and return its start instant (monotonic ns)."""
        self.prepare(plan)
        start_ns = time.monotonic_ns()
        self.send(Start(start_ns=start_ns, wall_ns=time.time_ns()))
        return start_ns

    def stop(self, window_secs: float = 5.0) -> None:
        self.send(Stop(deadline_ns=time.monotonic_ns() + int(window_secs * 1e9)))

    def finished(self, timeout_secs: float = 30) -> Finished:
        return self.wait_for(Finished, timeout_secs)

    def ended(self, timeout_secs: float = 30) -> int | None:
        """Wait for the process to leave and return its exit code, None when it did not."""
        self.process.join(timeout_secs)
        return self.process.exitcode

    def counters(self) -> Counters:
        return self.row.read()

    def recent(self) -> Recent:
        return self.row.recent(0)

    def close(self) -> None:
        """Kill what is left and release everything."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.connection.close()


class HostingWorker(WorkerProcess):
    """A worker that hosts entries, each with a row of its own behind the worker's."""

    def __init__(self, board: Board, row: int) -> None:
        super().__init__(board, row)
        self.rows: dict[str, int] = {}
        self.finished_by_id: dict[str, Finished] = {}
        self.wait_for(Ready)
        self.send(Host())

    def add(self, scenario_id: str, plan: EntryPlan) -> None:
        """Let an entry be prepared, and wait until it is."""
        self.rows[scenario_id] = len(self.rows) + 1
        self.send(Run(scenario_id=scenario_id, entry=plan, row=self.rows[scenario_id]))
        assert self.wait_for(Prepared).scenario_id == scenario_id

    def start_all(self) -> int:
        """Start what was added, at one instant; return it (monotonic ns)."""
        start_ns = time.monotonic_ns()
        for scenario_id in self.rows:
            self.send(Start(start_ns=start_ns, wall_ns=time.time_ns(), scenario_id=scenario_id))
        return start_ns

    def stop_one(self, scenario_id: str, window_secs: float = 5.0) -> None:
        deadline_ns = time.monotonic_ns() + int(window_secs * 1e9)
        self.send(Stop(deadline_ns=deadline_ns, scenario_id=scenario_id))

    def counters_of(self, scenario_id: str) -> Counters:
        return self.board.row(self.rows[scenario_id]).read()

    def finished_of(self, scenario_id: str, timeout_secs: float = 30) -> Finished:
        """Return the last message of one entry, whichever ends first."""
        while scenario_id not in self.finished_by_id:
            finished = self.wait_for(Finished, timeout_secs)
            assert finished.scenario_id is not None
            self.finished_by_id[finished.scenario_id] = finished
        return self.finished_by_id[scenario_id]


@contextmanager
def hosting_worker(rows: int = 100) -> Iterator[HostingWorker]:
    """Start a worker that hosts up to `rows` entries; afterwards it is gone."""
    worker = HostingWorker(Board(rows + 1), 0)
    try:
        yield worker
    finally:
        worker.close()


@contextmanager
def worker_processes(count: int = 1) -> Iterator[list[WorkerProcess]]:
    """Start `count` workers on one board; afterwards none is left."""
    board = Board(count)
    workers = [WorkerProcess(board, row) for row in range(count)]
    try:
        yield workers
    finally:
        for one in workers:
            one.close()
