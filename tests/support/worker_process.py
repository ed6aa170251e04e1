"""Real worker processes over a real pipe and a real board, without a supervisor."""

import multiprocessing
import operator
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import reduction
from typing import Any, TypeVar

import worker.main
from common.board import Board, Counters, Recent
from common.messages import Command, Event, Finished, Prepared, Ready, Run, Start, Stop
from common.plan import EntryPlan
from common.wire import receive_event, send

E = TypeVar("E")


class Descriptor:
    """Arrives in the child as a plain number; pickled by means of the standard library alone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return operator.methodcaller("detach"), (reduction.DupFd(self._descriptor),)


class WorkerProcess:
    """One worker and everything a supervisor sees of it."""

    def __init__(self, board: Board, row: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["worker.preload"])
        self.connection, theirs = context.Pipe()
        self.board = board
        self.row = board.row(row)
        self.events: list[Event] = []
        self.process = context.Process(
            target=worker.main.run, args=(theirs, Descriptor(board.descriptor), row), daemon=True
        )
        self.process.start()
        theirs.close()

    def send(self, command: Command) -> None:
        send(self.connection, command)

    def wait_for(self, kind: type[E], timeout_secs: float = 10) -> E:
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

    def finished(self, timeout_secs: float = 10) -> Finished:
        return self.wait_for(Finished, timeout_secs)

    def ended(self, timeout_secs: float = 10) -> int | None:
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
