"""The worker's side of the control pipe, and all its waiting.

::

    supervisor ══Command══► pipe ─────────┐
    parent process's sentinel (it died) ──┼──► select ──► stopping, stdout_discards, Run, Start, links
    SIGTERM ──► eventfd ──────────────────┤       ▲
    upstream of a gate ──► bell (eventfd) ┘       │
    the next tick, a sink's descriptor, a pause ──┘

Whatever a worker waits for, it waits here and stays reachable: a command, the death of the supervisor and SIGTERM all
end a wait for a tick at once. Waits inside a sink go on, so that what was counted can be delivered, but end half a
second before the deadline of the stop: the process has to exit within it.
"""

import os
import select
from multiprocessing.connection import Connection
from typing import Final, TypeVar, overload

from common.clock import Clock
from common.errors import WireError
from common.messages import Command, Event, Log, Message, StdoutClosed, StdoutDiscards, Stop
from common.wire import receive_command, send
from worker.gates.links import LinkCommand, Links

_NS_PER_SEC: Final = 1_000_000_000
LEAVE_NS: Final = 500_000_000
"""Time kept for closing and leaving, out of the time a stop grants."""

STOP_WINDOW_NS: Final = 5 * _NS_PER_SEC
"""What SIGTERM grants. Source: docs/operating.md, "Stop"."""

ORPHAN_WINDOW_NS: Final = _NS_PER_SEC
"""What the death of the supervisor grants."""

EXIT_TERMINATED: Final = 143
"""Exit code after a second SIGTERM: 128 + 15, as a shell reports it."""

# The kernel may round a wait up by a thousandth of its length, so a long one is made in two steps.
_LONG_WAIT_NS: Final = 250_000_000
_LONGEST_WAIT_NS: Final = 3600 * _NS_PER_SEC
_MAX_LOG_CHARS: Final = 2000

_C = TypeVar("_C", bound=Message)
_D = TypeVar("_D", bound=Message)


class Control:
    """One worker's waits, commands and events; used by its main thread only.

    Args:
        connection: the worker's end of the control pipe.
        parent_sentinel: a descriptor that becomes readable when the supervisor has died.
        clock: the monotonic clock of all deadlines.
        links: where this worker hangs in gates.

    Attributes:
        stdout_discards: whether the reader of stdout is gone.
    """

    def __init__(self, connection: Connection, parent_sentinel: int, clock: Clock, links: Links) -> None:
        self.stdout_discards = False
        self._links = links
        self._connection = connection
        self._clock = clock
        # select() takes descriptors below 1024 only, and the template of a large pool hands out higher ones; duplicates
        # get the lowest free numbers. It is select() because epoll and poll wait in whole milliseconds.
        self._pipe = os.dup(connection.fileno())
        self._parent = os.dup(parent_sentinel)
        self._terminated = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._watched = [self._pipe, self._parent, self._terminated]
        self._give_up_ns: int | None = None
        self._signalled = False
        self._command: Command | None = None
        self._lines_dropped = 0

    @property
    def stopping(self) -> bool:
        """Whether no further tick may be fired."""
        return self._give_up_ns is not None

    @property
    def given_up(self) -> bool:
        """Whether the time for delivering what is left is over."""
        return self._give_up_ns is not None and self._clock.monotonic_ns() >= self._give_up_ns

    def stop(self, deadline_ns: int) -> None:
        """Stop, and be gone by `deadline_ns`; the earliest of several deadlines holds."""
        give_up_ns = deadline_ns - LEAVE_NS
        self._give_up_ns = give_up_ns if self._give_up_ns is None else min(self._give_up_ns, give_up_ns)

    def terminate(self) -> None:
        """Stop because of a signal; safe in a signal handler. The second time the process exits at once."""
        if self._signalled:
            os._exit(EXIT_TERMINATED)
        self._signalled = True
        self.stop(self._clock.monotonic_ns() + STOP_WINDOW_NS)
        os.eventfd_write(self._terminated, 1)

    @overload
    def expect(self, kind: type[_C], /) -> _C | None: ...

    @overload
    def expect(self, kind: type[_C], other: type[_D], /) -> _C | _D | None: ...

    def expect(self, *kinds: type[Message]) -> Message | None:
        """Wait for a command of one of `kinds` and return it, or None when the worker is to leave instead."""
        while not self.stopping:
            if isinstance(self._command, kinds):
                command, self._command = self._command, None
                return command
            self._select((), (), None)
        return None

    def look(self) -> None:
        """Handle what has arrived, without waiting."""
        self._select((), (), 0)

    def stop_asked(self) -> bool:
        """Whether the scenario is stopping, by what has arrived until now."""
        self.look()
        return self.stopping

    def wait_until(self, deadline_ns: int) -> None:
        """Return at `deadline_ns`, or as soon as the scenario is stopping or there is news for its gate."""
        while self._give_up_ns is None and not self._links.rung:
            remaining = deadline_ns - self._clock.monotonic_ns()
            if remaining <= 0:
                return
            if remaining > _LONG_WAIT_NS:
                remaining = min(remaining, _LONGEST_WAIT_NS)
                remaining -= remaining >> 8
            self._select((), (), remaining / _NS_PER_SEC)
        self._links.rung = False

    def pause(self, secs: float) -> None:
        """Wait `secs`; a stop that arrives meanwhile ends the wait, and so does the time when all is given up."""
        was_stopping = self.stopping
        until_ns = self._clock.monotonic_ns() + int(secs * _NS_PER_SEC)
        while self.stopping is was_stopping and (remaining := self._remaining_secs(until_ns)) > 0:
            self._select((), (), remaining)

    def until_writable(self, descriptor: int, timeout_secs: float | None = None) -> bool:
        """Wait for room behind `descriptor`; False when `timeout_secs` have passed or the time is given up."""
        return self._until((), (descriptor,), timeout_secs)

    def until_readable(self, descriptor: int, timeout_secs: float | None = None) -> bool:
        """Wait for bytes on `descriptor`; False as in `until_writable`."""
        return self._until((descriptor,), (), timeout_secs)

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

    def log(self, level: int, message: str) -> None:
        """Send a log line to the supervisor; dropped and counted when the pipe has no room."""
        # A writable stream socket has room for far more than one line.
        if not select.select((), (self._pipe,), (), 0)[1]:
            self._lines_dropped += 1
            return
        fields = {"dropped": str(self._lines_dropped)} if self._lines_dropped else {}
        self._lines_dropped = 0
        self._send_or_be_orphaned(Log(level=level, message=message[:_MAX_LOG_CHARS], fields=fields))

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

    def _remaining_secs(self, until_ns: int | None) -> float:
        """Return how long a sink may go on waiting."""
        ends = [end_ns for end_ns in (until_ns, self._give_up_ns) if end_ns is not None]
        now_ns = self._clock.monotonic_ns()
        return min(min(ends, default=now_ns + _LONGEST_WAIT_NS) - now_ns, _LONGEST_WAIT_NS) / _NS_PER_SEC

    def _until(self, readable: tuple[int, ...], writable: tuple[int, ...], timeout_secs: float | None) -> bool:
        until_ns = None if timeout_secs is None else self._clock.monotonic_ns() + int(timeout_secs * _NS_PER_SEC)
        while (remaining := self._remaining_secs(until_ns)) > 0:
            if self._select(readable, writable, remaining):
                return True
        return False

    def _select(self, readable: tuple[int, ...], writable: tuple[int, ...], timeout_secs: float | None) -> bool:
        """Wait once, handle what concerns the worker, and return whether one of the asked descriptors is ready."""
        bell = self._links.bell
        bells = () if bell is None else (bell,)
        ready, room, _ = select.select((*bells, *self._watched, *readable), writable, (), timeout_secs)
        if not ready:
            return bool(room)
        asked = bool(room)
        for descriptor in ready:
            if descriptor == bell:
                self._links.hear()
            elif descriptor == self._pipe:
                self._receive()
            elif descriptor == self._parent:
                self._watched.remove(self._parent)
                self._be_orphaned()
            elif descriptor == self._terminated:
                os.eventfd_read(self._terminated)
            else:
                asked = True
        return asked

    def _receive(self) -> None:
        try:
            command = receive_command(self._connection)
            if isinstance(command, LinkCommand):
                self._links.take(command, self._connection)
                return
        except WireError:
            self._watched.remove(self._pipe)
            self._be_orphaned()
            return
        match command:
            case Stop(deadline_ns=deadline_ns):
                self.stop(deadline_ns)
            case StdoutDiscards():
                self.stdout_discards = True
            case _:
                self._command = command
