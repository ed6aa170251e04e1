"""Workers that become spares: new ones that report, and used ones that are as good as new. Main thread only."""

import logging

from common.logs import fields
from common.messages import Ready, StdoutDiscards
from supervisor.engine.pool import Pool
from supervisor.engine.spawn import WorkerProcess
from supervisor.engine.tally import Tally
from supervisor.engine.workers import Workers
from supervisor.host.loop import Callback

logger = logging.getLogger(__name__)

_EXIT_SECS = 5.0


class Parking:
    """Parks workers, told what holds for all of them.

    Args:
        pool: where the spares are.
        processes: what all workers are told.
        tally: whether the reader of stdout is gone.
        on_first_ready: called once, when the first worker is parked.
    """

    def __init__(self, pool: Pool[WorkerProcess], processes: Workers, tally: Tally, on_first_ready: Callback) -> None:
        self._pool = pool
        self._processes = processes
        self._tally = tally
        self._on_first_ready = on_first_ready

    def reported(self, worker: WorkerProcess, ready: Ready) -> None:
        """Park a new worker."""
        if not ready.preloaded or ready.threads != 1:
            shown = fields(preloaded=ready.preloaded, threads=ready.threads)
            logger.warning("a worker started without its preload or with threads", extra=shown)
        if self._tally.stdout_closed:
            self._processes.tell(worker, StdoutDiscards())
        self._pool.ready(worker)
        self._on_first_ready()
        self._on_first_ready = lambda: None

    def again(self, worker: WorkerProcess) -> bool:
        """Park a worker that has delivered an event; False when it is to exit."""
        if self._processes.was_killed(worker):
            return False
        parked = self._pool.park(worker)
        if not parked:
            self._processes.ask_to_stop(worker, _EXIT_SECS)
        return parked

    def discard_stdout(self) -> None:
        """Tell all workers, also later ones, that nobody reads stdout; logged once. Source: docs/operating.md."""
        if not self._tally.stdout_closed:
            self._tally.stdout_closed = True
            logger.warning("stdout was closed by its reader; stdout sinks discard from now on")
            self._processes.tell_all(StdoutDiscards(), self._pool.starting)
