"""Workers that owe an answer: one that is stopped is killed after a while, one that never reports as well.

A worker that is merely slow, on a busy machine, is left alone. Main thread only.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from supervisor.engine.workers import Worker
from supervisor.host.limits import is_stopped
from supervisor.host.loop import Loop

HANDSHAKE_SECS: Final = 2.0
"""How long a worker may take to report, to prepare, or to deliver an event, before it is looked at."""

BOOT_SECS: Final = 20.0
"""How long it may take from its start to its report in any case."""


class Handshakes:
    """Looks after the answers of workers.

    Args:
        loop: of the owning thread.
        owes: tells whether a worker owes an answer.
        is_starting: tells whether a worker has not reported yet.
        kill: ends one, with the reason.
    """

    def __init__(
        self,
        loop: Loop,
        owes: Callable[[Worker], bool],
        is_starting: Callable[[Worker], bool],
        kill: Callable[[Worker, str], None],
    ) -> None:
        self._loop = loop
        self._owes = owes
        self._is_starting = is_starting
        self._kill = kill

    def started(self, worker: Worker) -> None:
        """Expect the report of a worker that was asked for."""
        self.asked(worker)
        self._loop.after(BOOT_SECS, partial(self._check_booted, worker))

    def asked(self, worker: Worker) -> None:
        """Expect an answer of a worker that has got a plan or an event."""
        self._loop.after(HANDSHAKE_SECS, partial(self._check_answered, worker))

    def _check_answered(self, worker: Worker) -> None:
        if not self._owes(worker):
            return
        if is_stopped(worker.pid):
            self._kill(worker, f"killed: it was stopped and did not answer within {HANDSHAKE_SECS:g} s")
        else:
            self.asked(worker)

    def _check_booted(self, worker: Worker) -> None:
        if self._is_starting(worker):
            self._kill(worker, f"killed: it did not report within {BOOT_SECS:g} s")
