"""The main loop with real workers, in this process: the loop has a thread of its own, the test plays an HTTP thread."""

import threading
from types import TracebackType
from typing import Self

from common.board import Board
from supervisor.engine.fleet import Fleet
from supervisor.engine.pool import Pool
from supervisor.engine.scenarios import ScenarioMap
from supervisor.engine.spawn import Door, WorkerProcess
from supervisor.engine.wakeups import WakeupBudget
from supervisor.host.loop import Loop
from supervisor.service import LoopControlPlane
from tests.support.polling import wait_until


class RunningFleet:
    """Everything of the control plane but HTTP and signals.

    Args:
        rows: rows of the board.
        spares_wanted: parked workers.
        starting_limit: workers being started at once.
        wakeups_per_sec: budget of the whole fleet.
        grace_secs: time that workers get at the end.
    """

    def __init__(
        self,
        rows: int = 64,
        spares_wanted: int = 2,
        starting_limit: int = 2,
        wakeups_per_sec: float = 10_000,
        grace_secs: float = 3.0,
    ) -> None:
        self._grace_secs = grace_secs
        self.board = Board(rows)
        self.door = Door(self.board.descriptor)
        self.started: list[WorkerProcess] = []
        self.loop = Loop()
        self.pool = Pool(self._start, rows=rows, spares_wanted=spares_wanted, starting_limit=starting_limit)
        self.scenarios = ScenarioMap()
        self.first_ready = threading.Event()
        budget = WakeupBudget(wakeups_per_sec)
        self.fleet = Fleet(self.loop, self.board, self.pool, self.scenarios, budget, self.first_ready.set)
        self.plane = LoopControlPlane(self.loop, self.fleet, self.scenarios)
        self._spares_wanted = spares_wanted
        self._thread = threading.Thread(target=self.loop.run, args=(self.fleet.reconcile,))

    def _start(self, row: int) -> WorkerProcess:
        self.started.append(self.door.start(row))
        return self.started[-1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.shut_down()

    def shut_down(self) -> None:
        """Stop everything and wait for the end; may be called twice."""
        self.loop.post(lambda: self.fleet.shut_down(self._grace_secs, self.loop.stop))
        self._thread.join(self._grace_secs + 5)
        assert not self._thread.is_alive(), "the loop does not end"
        self.loop.refuse_posts()

    def wait_until_full_or_more(self) -> None:
        """Wait until the pool holds at least as many spares as it should, and none is being started."""
        wait_until(
            lambda: len(self.pool.spares) >= self._spares_wanted and not self.pool.starting, "the pool is at rest"
        )

    def wait_until_full(self) -> None:
        """Wait until the pool holds as many spares as it should."""
        wait_until(lambda: len(self.pool.spares) == self._spares_wanted, "the pool is full")
