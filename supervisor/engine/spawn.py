"""The door: where worker processes come from, and why they ended.

::

    Door.start ──request──► template ──fork──► worker
        │  control pipe, one end each ◄─────────┘
        ├─ pidfd: readable when the process is gone, whatever became of the template
        └─ exit code: told by the template, which reaps

Used on the loop's thread alone. A worker gets one end of its pipe, the board's descriptor and its row; nothing has a
name in the file system, so nothing is left behind however the processes die.
"""

import os
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Final

from common import wire
from common.errors import os_error_text
from common.forking import SharedFiles
from common.messages import Command, Event
from supervisor.engine.control_plane import LaunchError
from supervisor.engine.template import TemplateProcess
from supervisor.host.limits import descriptors_are_short, oom_kills
from supervisor.host.loop import Loop

EXIT_CODE_SECS: Final = 1.0
"""How long after its end the exit code of a worker is waited for."""

_PIPE_PATIENCE: Final = struct.pack("ll", 2, 0)
"""A struct timeval: how long the loop may be held up by one worker that stopped in the middle of a message."""


class WorkerProcess:
    """One worker process, as the loop's thread holds it; `Door` makes it.

    Args:
        loop: watches its end.
        connection: our end of its control pipe.
        row: its row of the board.

    Attributes:
        pid: process id; 0 until it was forked.
        row: see above.
        on_gone: called once, when the process is gone, or was never there; whoever watches it sets it.
        exit_code: negative for a signal; None until it is known, or when nobody knows.
    """

    def __init__(self, loop: Loop, connection: "Connection", row: int) -> None:
        self.pid = 0
        self.row = row
        self.on_gone: Callable[[], object] = lambda: None
        self.exit_code: int | None = None
        self._loop = loop
        self._connection = connection
        self._pidfd: int | None = None
        self._refusal: str | None = None
        self._has_left = False
        self._is_gone = False
        self._is_lost = False
        self._is_killed = False
        self._oom_kills = oom_kills()

    def fileno(self) -> int:
        """Return the descriptor of the control pipe, readable when an event or end of file is there."""
        return self._connection.fileno()

    def send(self, command: Command) -> None:
        """Send one command.

        Raises:
            WireError: the worker is gone, or has stopped reading.
        """
        wire.send(self._connection, command)

    def send_with_descriptor(self, command: Command, descriptor: int) -> None:
        """Send one command and a copy of `descriptor` behind it.

        Raises:
            WireError: the worker is gone, or has stopped reading.
        """
        wire.send_with_descriptor(self._connection, command, descriptor)

    def receive(self) -> Event:
        """Return the next event.

        Raises:
            WireError: the worker is gone, or what came is no event.
        """
        return wire.receive_event(self._connection)

    def has_event(self) -> bool:
        """Return whether `receive` would not wait; true at end of file as well."""
        return self._connection.poll(0)

    @property
    def was_born(self) -> bool:
        """Whether there has been a process."""
        return self._refusal is None

    def exit_reason(self) -> str | None:
        """Return why the process ended, in words; None for exit code 0, and when nobody knows."""
        if self._refusal is not None:
            return self._refusal
        if self.exit_code is None:
            return None
        reason = exit_reason(self.exit_code)
        if self.exit_code == -signal.SIGKILL and not self._is_killed and oom_kills() > self._oom_kills:
            return f"{reason}: memory was short"
        return reason

    def kill(self) -> bool:
        """Send SIGKILL, as soon as there is a process; returns False when it has ended by itself."""
        if self._has_left:
            return False
        self._is_killed = True
        if self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        return True

    def close(self) -> None:
        """Close every descriptor of a process that is gone."""
        self._connection.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def forked(self, pid: int, pidfd: int) -> None:
        """Take the process; see `Asker`."""
        self.pid = pid
        self._pidfd = pidfd
        self._loop.watch(pidfd, self._left)
        if self._is_killed:
            self.kill()

    def refused(self, reason: str) -> None:
        """Be no process; see `Asker`."""
        self._refusal = reason
        self._gone()

    def exited(self, exit_code: int | None) -> None:
        """Take the exit code; see `Asker`."""
        self.exit_code = exit_code
        self._is_lost = exit_code is None
        if self._has_left:
            self._gone()

    def _left(self) -> None:
        assert self._pidfd is not None  # noqa: S101 - it is what was watched
        self._loop.unwatch(self._pidfd)
        self._has_left = True
        if self.exit_code is not None or self._is_lost:
            self._gone()
        else:
            self._loop.after(EXIT_CODE_SECS, self._gone)

    def _gone(self) -> None:
        if not self._is_gone:
            self._is_gone = True
            self.on_gone()


def exit_reason(code: int) -> str | None:
    """Return what an exit code means, in words; None for 0, negative codes are signals."""
    if code == 0:
        return None
    if code < 0:
        return f"killed by signal {-code}{_signal_name(-code)}"
    return f"ended with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        # Real-time signals have numbers only.
        return ""


class Door:
    """Starts workers, from a template that is replaced whenever it ends.

    Args:
        loop: of the owning thread.
        files: what all workers have open.
        memory_bytes: how much memory of its own a worker may use; 0 is unlimited.
    """

    def __init__(self, loop: Loop, files: SharedFiles, memory_bytes: int = 0) -> None:
        self._loop = loop
        self._memory_bytes = memory_bytes
        # Nobody writes: what ends is the writing end, with this process.
        self._alive, self._alive_writer = os.pipe2(os.O_CLOEXEC)
        self._inherited = (*files, self._alive)
        self._template: TemplateProcess | None = None

    @property
    def template_pid(self) -> int | None:
        """The process id of the template; None while there is none."""
        return None if self._template is None else self._template.pid

    @property
    def is_opening(self) -> bool:
        """Whether the template has started and is not ready yet."""
        return self._template is not None and not self._template.is_ready

    def open(self) -> None:
        """Start the template, so that the first worker need not wait for it.

        Raises:
            LaunchError: it cannot be started.
        """
        if self._template is None:
            self._template = TemplateProcess(self._loop, self._inherited, self._template_ended)

    def start(self, row: int) -> WorkerProcess:
        """Ask the template for a worker; waits for nothing. Whether there is one shows later.

        Raises:
            LaunchError: the operating system refuses a descriptor or the template.
        """
        self.open()
        assert self._template is not None  # noqa: S101 - it has just been opened
        try:
            ours, theirs = socket.socketpair()
        except OSError as exc:
            raise LaunchError(f"cannot start a worker: {os_error_text(exc)}") from exc
        with theirs:
            if descriptors_are_short(theirs.fileno()):
                ours.close()
                raise LaunchError("cannot start a worker: too many open files: the limit of descriptors (ulimit -n)")
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PIPE_PATIENCE)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PIPE_PATIENCE)
            worker = WorkerProcess(self._loop, Connection(ours.detach()), row)
            try:
                self._template.ask(theirs.fileno(), row, self._memory_bytes, worker)
            except LaunchError:
                worker.close()
                raise
        return worker

    def close(self) -> None:
        """Let the template leave; for when all workers are gone."""
        if self._template is not None:
            self._template.close()
            self._template = None
        for descriptor in (self._alive, self._alive_writer):
            os.close(descriptor)

    def _template_ended(self) -> None:
        self._template = None
