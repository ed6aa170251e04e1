"""One scenario among several in a worker process; main thread only.

::

    fleet ──Run, Start, Stop, gates──► guest ──with its id and row──► pipe of the host ──► one loop for all guests
          ◄──Prepared, Finished──────── guest ◄──────by the id─────── pipe of the host ◄──┘

A guest is to the fleet what a worker process is: it has a row, takes commands, says what it does, and ends once. So
launches, gates and stops need not know that its process has others.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from common.errors import WireError
from common.messages import Command, EntryMessage, Run, Start, Stop
from supervisor.engine.spawn import WorkerProcess


class Guest:
    """One scenario in a worker that hosts several, with what the fleet uses of a worker process.

    Args:
        host: the process.
        scenario_id: whose it is.
        row: its row of the board.
        kill_host: ends the process with all its guests.
    """

    def __init__(self, host: WorkerProcess, scenario_id: str, row: int, kill_host: Callable[[], None]) -> None:
        self.host = host
        self.pid = host.pid
        self.scenario_id = scenario_id
        self.row = row
        self._kill_host = kill_host
        self._has_started = False

    def send(self, command: Command) -> None:
        """Send one command, as `WorkerProcess.send`."""
        self._has_started = self._has_started or isinstance(command, Start)
        self.host.send(self._addressed(command))

    def send_with_descriptor(self, command: Command, descriptor: int) -> None:
        """Send one command and a copy of `descriptor`, as `WorkerProcess.send_with_descriptor`."""
        self.host.send_with_descriptor(self._addressed(command), descriptor)

    def kill(self) -> bool:
        """End it at once: before its start a stop does, afterwards only the end of its process is sure."""
        if self._has_started:
            self._kill_host()
        else:
            with suppress(WireError):
                self.send(Stop(deadline_ns=time.monotonic_ns()))
        return True

    def _addressed(self, command: Command) -> Command:
        match command:
            case Run():
                return msgspec.structs.replace(command, row=self.row)
            case EntryMessage() | Stop():
                return msgspec.structs.replace(command, scenario_id=self.scenario_id)
            case _:
                return command
