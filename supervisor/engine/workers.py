"""The worker processes: watched for what they say and for their end, asked to stop, killed; main thread only.

Whose a worker is, and what its events and its end mean, is up to the fleet.
"""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from common.errors import WireError
from common.logs import fields
from common.messages import Command, Event, Finished, Log, Stop
from supervisor.engine.guests import Guest
from supervisor.engine.spawn import WorkerProcess
from supervisor.host.loop import Loop

logger = logging.getLogger(__name__)
worker_logger = logging.getLogger("worker")

_GOODBYE_SECS: Final = 1.0

Worker = WorkerProcess | Guest
"""What runs one scenario: a process of its own, or a guest in one."""


@dataclass(frozen=True, slots=True)
class End:
    """How a worker process ended.

    Attributes:
        reason: in words; None when it exited by itself with code 0.
        killed: whether it was killed here.
        exit_code: negative for a signal; None when nobody knows it.
        finished: its last message.
        was_born: whether there has been a process.
    """

    reason: str | None
    killed: bool
    exit_code: int | None
    finished: Finished | None
    was_born: bool = True


class Workers:
    """Every worker process there is.

    Args:
        loop: the main thread's loop.
        on_event: called with what a worker says, log lines left out.
        on_end: called when a worker is gone and everything it said has been handled.
    """

    def __init__(
        self,
        loop: Loop,
        on_event: Callable[[WorkerProcess, Event], None],
        on_end: Callable[[Worker, End], None],
    ) -> None:
        self._loop = loop
        self._on_event = on_event
        self._on_end = on_end
        self._present: set[Worker] = set()
        self._finished: dict[WorkerProcess, Finished] = {}
        self._verdicts: dict[Worker, str] = {}

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._present)

    def pids(self) -> tuple[int, ...]:
        """Return the ids of all processes that were forked."""
        return tuple(worker.pid for worker in self._present if isinstance(worker, WorkerProcess) and worker.pid)

    def watch(self, worker: WorkerProcess) -> None:
        """Take care of a worker that was started."""
        self._present.add(worker)
        self._loop.watch(worker.fileno(), partial(self._receive, worker))
        worker.on_gone = partial(self._ended, worker)

    def admit(self, guest: Guest) -> None:
        """Take care of a guest of a worker that is watched."""
        self._present.add(guest)

    def dismiss(self, guest: Guest, finished: Finished | None, reason: str | None = None) -> None:
        """Note that a guest has ended: by its last message, or with its process for a reason."""
        self._present.remove(guest)
        verdict = self._verdicts.pop(guest, None)
        if finished is None:
            end = End(reason=verdict or reason, killed=verdict is not None, exit_code=None, finished=None)
        else:
            end = End(reason=None, killed=False, exit_code=0, finished=finished)
        self._on_end(guest, end)

    def tell(self, worker: Worker, command: Command) -> None:
        """Send a command; one that is gone does not need it."""
        try:
            worker.send(command)
        except WireError as exc:
            logger.debug("a worker cannot be told: %s", exc)

    def tell_all(self, command: Command, but: Collection[Worker]) -> None:
        """Send a command to every worker but some."""
        for worker in self._present.difference(but):
            self.tell(worker, command)

    def ask_to_stop(self, worker: Worker, grace_secs: float, *, interrupts: bool = False) -> None:
        """Tell a worker to exit, and kill it when it is still there after `grace_secs`; `interrupts` as of `Stop`."""
        self.tell(worker, Stop(deadline_ns=time.monotonic_ns() + round(grace_secs * 1e9), interrupts=interrupts))
        self._loop.after(grace_secs, partial(self.kill, worker, f"killed: it did not stop within {grace_secs:g} s"))

    def kill(self, worker: Worker, why: str) -> None:
        """Send SIGKILL; `why` is the reason of its end. Nothing happens when it has ended."""
        if worker in self._present and worker.kill():
            self._verdicts.setdefault(worker, why)

    def kill_process(self, worker: Worker, why: str) -> None:
        """Kill the process that a worker is, or is in."""
        self.kill(worker.host if isinstance(worker, Guest) else worker, why)

    def kill_all(self, why: str) -> None:
        """Kill every worker that is still there, for one reason."""
        for worker in tuple(self._present):
            self.kill(worker, why)

    def was_killed(self, worker: Worker) -> bool:
        """Return whether a worker that has not ended is about to."""
        return worker in self._verdicts

    def _receive(self, worker: WorkerProcess) -> bool:
        """Handle the next event; returns whether there may be more."""
        try:
            event = worker.receive()
        except WireError:
            self._loop.unwatch(worker.fileno())
            self._loop.after(_GOODBYE_SECS, partial(self.kill, worker, "killed: it closed its pipe and stayed"))
            return False
        if isinstance(event, Log):
            whose = {} if event.scenario_id is None else {"id": event.scenario_id}
            worker_logger.log(event.level, "%s", event.message, extra=fields(**whose, **event.fields))
            return True
        if isinstance(event, Finished):
            self._finished[worker] = event
        self._on_event(worker, event)
        return True

    def _ended(self, worker: WorkerProcess) -> None:
        while worker.has_event() and self._receive(worker):
            pass
        self._present.remove(worker)
        verdict = self._verdicts.pop(worker, None)
        end = End(
            reason=verdict or worker.exit_reason(),
            killed=verdict is not None,
            exit_code=worker.exit_code,
            finished=self._finished.pop(worker, None),
            was_born=worker.was_born,
        )
        self._loop.unwatch(worker.fileno())
        worker.close()
        self._on_end(worker, end)
