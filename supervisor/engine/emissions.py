"""Single events on their way through spare workers, and previews; main thread only.

::

    waiting ──spare──► Emit, Preview ──► Emitted, Previewed ──► answered; the worker is parked again
                         ├─► Finished ─────────────────────► refused; the worker exits
                         └─► gone ─────────────────────────► refused

An event that one worker has got is never given to a second one, which might deliver it again.
Source: docs/http.md, "Single events" and "Start".
"""

import logging
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from common.errors import WireError
from common.logs import fields
from common.messages import Errand, ErrandResult, Finished
from supervisor.engine.control_plane import EventError
from supervisor.engine.endings import text_of, traceback_fields
from supervisor.engine.pool import Pool
from supervisor.engine.replies import answer, refuse
from supervisor.engine.spawn import WorkerProcess
from supervisor.engine.workers import Workers

logger = logging.getLogger(__name__)


EmissionReply = Future[ErrandResult]


@dataclass(slots=True)
class _Emission:
    command: Errand
    reply: EmissionReply
    was_not_taken: bool = False


class Emissions:
    """Owns the workers that deliver an event at the moment, or tell what entries would emit.

    Args:
        pool: where spares are taken from.
        processes: kills a worker whose caller has given up.
    """

    def __init__(self, pool: Pool[WorkerProcess], processes: Workers) -> None:
        self._pool = pool
        self._processes = processes
        self._waiting: deque[_Emission] = deque()
        self._busy: dict[WorkerProcess, _Emission] = {}

    @property
    def waiting(self) -> int:
        """How many events wait for a worker."""
        return len(self._waiting)

    def add(self, command: Errand, reply: EmissionReply) -> None:
        """Let an event wait for a worker."""
        self._waiting.append(_Emission(command, reply))

    def hand_out(self) -> list[WorkerProcess]:
        """Give waiting events to spares; returns the workers that are owned from now on."""
        taken = []
        while self._waiting and (worker := self._pool.take()) is not None:
            emission = self._waiting.popleft()
            try:
                worker.send(emission.command)
            except WireError as exc:
                self._processes.kill(worker, "killed: it did not take its event")
                self._not_taken(emission, exc)
                continue
            self._busy[worker] = emission
            taken.append(worker)
        return taken

    def delivered(self, worker: WorkerProcess, outcome: ErrandResult) -> None:
        """Answer the event of a worker that is free again."""
        answer(self._busy.pop(worker).reply, outcome)

    def failed(self, worker: WorkerProcess, finished: Finished) -> None:
        """Refuse the event of a worker that could not deliver it."""
        fault = finished.fault
        if fault is None:
            self.lost(worker, "the worker was stopped")
            return
        if fault.traceback:
            logger.warning("an event failed unexpectedly", extra=fields(**traceback_fields(finished)))
        text = text_of(fault) if fault.cause == "runtime" else fault.message
        refuse(self._busy.pop(worker).reply, EventError(text, fault.cause))

    def lost(self, worker: WorkerProcess, reason: str) -> None:
        """Refuse the event of a worker that is gone, if it has not been answered."""
        emission = self._busy.pop(worker, None)
        if emission is not None:
            refuse(emission.reply, EventError(reason, "runtime"))

    def abandon(self, reply: EmissionReply) -> None:
        """Forget the event that nobody waits for any more; a worker that has it is killed."""
        self._waiting = deque(emission for emission in self._waiting if emission.reply is not reply)
        for worker, emission in self._busy.items():
            if emission.reply is reply:
                self._processes.kill(worker, "killed: its event took longer than the request may")

    def refuse_waiting(self, reason: str) -> None:
        """Refuse every event that has no worker."""
        while self._waiting:
            refuse(self._waiting.popleft().reply, EventError(reason, "runtime"))

    def _not_taken(self, emission: _Emission, error: WireError) -> None:
        if emission.was_not_taken:
            refuse(emission.reply, EventError(str(error), "runtime"))
            return
        # The worker may have been dead before; another one is tried, once.
        emission.was_not_taken = True
        self._waiting.appendleft(emission)
