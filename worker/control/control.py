"""The worker's side of the control pipe: what a process can be told, whatever runs in it.

::

    supervisor ══Command══► pipe ─────────┐
    parent process's sentinel (it died) ──┼──► select ──► Run, Emit; stopping, stdout_discards
    SIGTERM ──► eventfd ──────────────────┤       ▲  └──► an entry's Start, Stop, links, by its id
    what an entry waits for: the next ────┘       │
    tick, a sink's descriptor, a bell ────────────┘

Whatever a worker waits for, it stays reachable: a command, the death of the supervisor and SIGTERM end every wait.
Calls that block by themselves (`may_block`) delay that by some milliseconds.
"""

import os
import select
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final

from common.clock import Clock
from common.errors import WireError
from common.messages import (
    Decide,
    Emit,
    Errand,
    Event,
    Follow,
    Held,
    Host,
    Log,
    Preview,
    Retune,
    Run,
    Start,
    StdoutClosed,
    StdoutDiscards,
    Stop,
    Watch,
)
from common.wire import receive_command, receive_descriptor, send
from worker.control.entry import EntryControl
from worker.control.kernel import Slices
from worker.control.place import WaitingPlace
from worker.gates.links import LinkCommand, Links

_NS_PER_SEC: Final = 1_000_000_000

STOP_WINDOW_NS: Final = 5 * _NS_PER_SEC
"""What SIGTERM grants. Source: docs/operating.md, "Stop"."""

ORPHAN_WINDOW_NS: Final = _NS_PER_SEC
"""What the death of the supervisor grants."""

EXIT_TERMINATED: Final = 143
"""Exit code after a second SIGTERM: 128 + 15, as a shell reports it."""

_COMMANDS_WAIT_NS: Final = 5_000_000
"""How long calls that block, one after the other, may keep a process from its commands."""

# The kernel may round a wait up by a thousandth of its length, so a long one is made in two steps.
_LONG_WAIT_NS: Final = 250_000_000
_LONGEST_WAIT_NS: Final = 3600 * _NS_PER_SEC
_MAX_LOG_CHARS: Final = 2000


class Control:
    """One worker process: its commands, its events, and where a single entry waits; main thread only.

    Args:
        connection: the worker's end of the control pipe.
        parent_sentinel: a descriptor that becomes readable when the supervisor has died.
        clock: the monotonic clock of all deadlines.

    Attributes:
        stdout_discards: whether the reader of stdout is gone.
    """

    def __init__(self, connection: Connection, parent_sentinel: int, clock: Clock) -> None:
        self.stdout_discards = False
        self._connection = connection
        self._clock = clock
        # select() takes descriptors below 1024 only, and the template of a large pool hands out higher ones; duplicates
        # get the lowest free numbers. It is select() because epoll and poll wait in whole milliseconds.
        self._pipe = os.dup(connection.fileno())
        self._parent = os.dup(parent_sentinel)
        self._terminated = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._watched = [self._pipe, self._parent, self._terminated]
        self._slices = Slices()
        self._entries: dict[str | None, EntryControl] = {}
        self._commands: deque[Run | Errand | Host] = deque()
        self._leave_by_ns: int | None = None
        self._looked_ns = 0
        self._signalled = False
        self._lines_dropped = 0

    @property
    def stopping(self) -> bool:
        """Whether the process is to leave."""
        return self._leave_by_ns is not None

    def stop(self, deadline_ns: int, *, interrupts: bool = True) -> None:
        """Stop every entry, as `EntryControl.stop`, and leave by `deadline_ns`; the earliest deadline holds."""
        self._leave_by_ns = deadline_ns if self._leave_by_ns is None else min(self._leave_by_ns, deadline_ns)
        for entry in tuple(self._entries.values()):
            entry.stop(deadline_ns, interrupts=interrupts)

    def terminate(self) -> None:
        """Stop because of a signal; safe in a signal handler. The second time the process exits at once."""
        if self._signalled:
            os._exit(EXIT_TERMINATED)
        self._signalled = True
        self.stop(self._clock.monotonic_ns() + STOP_WINDOW_NS)
        os.eventfd_write(self._terminated, 1)

    @contextmanager
    def entry(self, scenario_id: str | None, links: Links, place: WaitingPlace | None = None) -> Iterator[EntryControl]:
        """Let an entry be told what concerns it for as long as the context lasts.

        Args:
            scenario_id: names it in messages; None for a single event.
            links: where it hangs in gates.
            place: where it waits; None for here, where one entry at a time can wait.
        """
        entry = EntryControl(self, scenario_id, links, self if place is None else place, self._clock)
        self._entries[scenario_id] = entry
        if self._leave_by_ns is not None:
            entry.stop(self._leave_by_ns, interrupts=True)
        try:
            yield entry
        finally:
            del self._entries[scenario_id]

    def take(self) -> Run | Errand | Host | None:
        """Return the next command to do something, or None."""
        return self._commands.popleft() if self._commands else None

    def expect(self) -> Run | Errand | Host | None:
        """Wait for a command to do something and return it, or None when the process is to exit instead."""
        while not self.stopping:
            command = self.take()
            if command is not None:
                return command
            self.select((), (), None)
        return None

    def select(self, readable: Sequence[int], writable: Sequence[int], until_ns: int | None) -> Sequence[int]:
        """Wait once, as `Place.select`, and handle what concerns the process."""
        now_ns = self._clock.monotonic_ns()
        if until_ns is None or until_ns > now_ns:
            timeout_secs = None
            if until_ns is not None:
                remaining_ns = until_ns - now_ns
                timeout_secs = (
                    remaining_ns if remaining_ns <= _LONG_WAIT_NS else _first_step(remaining_ns)
                ) / _NS_PER_SEC
            if not self._slices.has_waited:
                self._slices.waited()
        else:
            timeout_secs = 0.0
            self._slices.goes_on(now_ns)
        watched = (*self._watched, *readable) if readable else self._watched
        ready, room, _ = select.select(watched, writable, (), timeout_secs)
        self._looked_ns = self._clock.monotonic_ns()
        if not ready:
            return room
        asked = room
        for descriptor in ready:
            if descriptor == self._pipe:
                self._receive()
            elif descriptor == self._parent:
                self._watched.remove(self._parent)
                self._be_orphaned()
            elif descriptor == self._terminated:
                os.eventfd_read(self._terminated)
            else:
                asked.append(descriptor)
        return asked

    def may_block(self) -> bool:
        """Return whether commands were looked at so lately that a call may block now; it counts as a wait."""
        self._slices.waited()
        return self._clock.monotonic_ns() - self._looked_ns < _COMMANDS_WAIT_NS

    def cpu_ns(self) -> int:
        """Return the processor time of the process: it has one entry at a time."""
        return time.process_time_ns()

    def wake(self) -> None:
        """Do nothing: what is worth waking for has just ended the wait."""

    def send(self, event: Event) -> None:
        """Send an event; waits for room.

        Raises:
            WireError: the supervisor is gone.
        """
        send(self._connection, event)

    def report_stdout_closed(self) -> None:
        """Tell the supervisor that the reader of stdout is gone, and discard from now on."""
        self.stdout_discards = True
        self._send_or_be_orphaned(StdoutClosed())

    def report(self, held: Held) -> None:
        """Tell the supervisor that a run stands still; without one every entry is stopped."""
        self._send_or_be_orphaned(held)

    def log(self, level: int, message: str, scenario_id: str | None) -> None:
        """Send a log line to the supervisor; dropped and counted when the pipe has no room."""
        # A writable stream socket has room for far more than one line.
        if not select.select((), (self._pipe,), (), 0)[1]:
            self._lines_dropped += 1
            return
        fields = {"dropped": str(self._lines_dropped)} if self._lines_dropped else {}
        self._lines_dropped = 0
        line = Log(level=level, message=message[:_MAX_LOG_CHARS], fields=fields, scenario_id=scenario_id)
        self._send_or_be_orphaned(line)

    def close(self) -> None:
        """Release every descriptor but the connection's."""
        for descriptor in (self._pipe, self._parent, self._terminated):
            os.close(descriptor)

    def _send_or_be_orphaned(self, event: Event) -> None:
        try:
            self.send(event)
        except WireError:
            self._be_orphaned()

    def _be_orphaned(self) -> None:
        self.stop(self._clock.monotonic_ns() + ORPHAN_WINDOW_NS)

    def _receive(self) -> None:
        try:
            command = receive_command(self._connection)
            bell = receive_descriptor(self._connection) if isinstance(command, Watch | Follow) else None
        except WireError:
            self._watched.remove(self._pipe)
            self._be_orphaned()
            return
        match command:
            case Stop(scenario_id=None):
                self.stop(command.deadline_ns, interrupts=command.interrupts)
            case StdoutDiscards():
                self.stdout_discards = True
            case Run() | Emit() | Preview() | Host():
                self._commands.append(command)
            case _:
                self._tell(command, bell)

    def _tell(self, command: Stop | Start | Retune | Decide | LinkCommand, bell: int | None) -> None:
        """Hand a command to the entry that it concerns; one that has ended meanwhile needs none."""
        entry = self._entries.get(command.scenario_id)
        if entry is None and command.scenario_id is None and len(self._entries) == 1:
            (entry,) = self._entries.values()
        if entry is None:
            if bell is not None:
                os.close(bell)
        elif isinstance(command, Stop):
            entry.stop(command.deadline_ns, interrupts=command.interrupts)
        elif isinstance(command, Start):
            entry.start(command)
        elif isinstance(command, Retune):
            entry.ask(command)
        elif isinstance(command, Decide):
            entry.decide(command)
        else:
            entry.link(command, bell)


def _first_step(remaining_ns: int) -> int:
    """Return how much of a long wait is to be made first, in ns."""
    remaining_ns = min(remaining_ns, _LONGEST_WAIT_NS)
    return remaining_ns - (remaining_ns >> 8)
