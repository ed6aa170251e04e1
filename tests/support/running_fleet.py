"""The main loop with real workers, in this process: the loop has a thread of its own, the test plays an HTTP thread."""

import operator
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self

import psutil

from common.sharing import SEPARATE, Sharing
from supervisor.engine import Engine
from supervisor.engine.spawn import WorkerProcess
from supervisor.host.limits import usable_cores
from tests.support.polling import wait_until

_DESCRIPTORS_OF_A_WORKER = 2
"""Its control pipe, and what tells that it has ended."""


class RunningFleet:
    """Everything of the control plane but HTTP and signals.

    Args:
        rows: rows of the board.
        spares_wanted: parked workers.
        starting_limit: workers being started at once.
        wakeups_per_sec: budget of the whole fleet.
        grace_secs: time that workers get at the end.
        sharing: which entries share a worker.
    """

    def __init__(
        self,
        rows: int = 64,
        spares_wanted: int = 2,
        starting_limit: int = 2,
        wakeups_per_sec: float = 10_000,
        grace_secs: float = 3.0,
        sharing: Sharing = SEPARATE,
    ) -> None:
        self._grace_secs = grace_secs
        self._spares_wanted = spares_wanted
        self.started: list[WorkerProcess] = []
        self.first_ready = threading.Event()
        self._options = {
            "rows": rows,
            "wakeups_per_core": wakeups_per_sec / usable_cores(),
            "spares": spares_wanted,
            "starting_limit": starting_limit,
            "sharing": sharing,
            "on_first_ready": self.first_ready.set,
        }
        self._made: Future[Engine] = Future()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.plane = self._made.result()
        self.loop = self.plane.loop
        self.board = self.plane._board
        self.pool = self.plane._pool
        self.scenarios = self.plane._scenarios
        self.fleet = self.plane._fleet

    def _run(self) -> None:
        try:
            engine = Engine(**self._options)  # type: ignore[arg-type]  # as written above
            engine._pool._start = self._recording(engine._pool._start)
        except BaseException as error:
            self._made.set_exception(error)
            raise
        self._made.set_result(engine)
        engine.run()
        engine.close()

    def _recording(self, start: Callable[[int], WorkerProcess]) -> Callable[[int], WorkerProcess]:
        def recorded(row: int) -> WorkerProcess:
            self.started.append(start(row))
            return self.started[-1]

        return recorded

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.shut_down()

    def shut_down(self) -> None:
        """Stop everything and wait for the end; may be called twice."""
        self.loop.post(lambda: self.fleet.shut_down(self._grace_secs, self.loop.stop))
        self._thread.join(self._grace_secs + 30)
        assert not self._thread.is_alive(), "the loop does not end"

    def held(self) -> tuple[int, int]:
        """Return how many descriptors, without those of spares, and how many threads this process has.

        The loop counts them, so that it has nothing half done.
        """
        counted: Future[tuple[int, int]] = Future()
        process = psutil.Process()

        def count() -> None:
            spares = len(self.pool.spares) + len(self.pool.starting)
            counted.set_result((process.num_fds() - spares * _DESCRIPTORS_OF_A_WORKER, process.num_threads()))

        self.loop.post(count)
        return counted.result(30)

    def wait_until_held(self, before: tuple[int, int]) -> None:
        """Wait until this process holds no more than `held` returned before."""
        wait_until(lambda: all(map(operator.le, self.held(), before)), f"no more descriptors and threads than {before}")

    def wait_until_full(self) -> None:
        """Wait until the pool holds as many spares as it should, or more, and none is being started."""
        wait_until(lambda: len(self.pool.spares) >= self._spares_wanted and not self.pool.starting, "the pool is full")
