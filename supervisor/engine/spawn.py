"""The door: the only file that imports `worker`. Starts worker processes and tells why they ended.

::

    supervisor ──start()──► template (forkserver: numpy, encoders, cheap sinks preloaded) ──fork──► worker
        │  control pipe, one end each ◄──────────────────────────────────────────────────────────────┘
        └─ sentinel: the template reaps the worker and writes its exit code there

Used on the main thread alone. A worker gets one end of its pipe, the board's descriptor and its row; the template's
socket has no name in the file system, so nothing is left behind however the processes die.
"""

import multiprocessing
import operator
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, reduction, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.popen_forkserver import Popen
from pathlib import Path
from typing import Any, Final

import worker.main
from common import wire
from common.messages import Command, Event
from supervisor.engine.control_plane import LaunchError

PRELOAD: Final = ["worker.preload"]
"""Imported once by the template; every worker shares the memory."""

SECRET_VARIABLES: Final = ("SONDA_API_KEY", "NOTIFY_SOCKET")
_NUMPY_SETTINGS: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # PERF: numpy's own logarithm for the widest vectors differs from the C library's in the last bit, so the workers
    # could not use it; without those vectors it is the C library's, 15 times as fast as calling `math.log`.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512F AVX512_SKX",
}
"""What numpy reads when the template imports it; names that a processor or version does not know are skipped."""

_UNTIL_HANDLED: Final = {
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
}
_EXIT_CODE_LOST: Final = 255
_PIPE_PATIENCE: Final = struct.pack("ll", 2, 0)
"""A struct timeval: how long the loop may be held up by one worker that stopped in the middle of a message."""


class WorkerProcess:
    """One worker process, as the main loop holds it.

    Args:
        process: how multiprocessing watches it.
        connection: our end of its control pipe.
        row: its row of the board.

    Attributes:
        pid: process id.
        row: see above.
        watched: descriptor that becomes readable when the process may have ended.
    """

    def __init__(self, process: Popen, connection: "Connection", row: int) -> None:
        self.pid: int = process.pid
        self.row = row
        self.watched: int = process.sentinel
        self._process = process
        self._connection = connection
        self._pidfd: int | None = None

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

    def has_ended(self) -> bool:
        """Return whether the process is gone; to be asked when `watched` is readable.

        When the template dies, all its workers read as ended although they live. Then `watched` changes to a
        descriptor of the process itself, and the answer is no.
        """
        if self._pidfd is None:
            exit_code = self._process.poll()
            if exit_code != _EXIT_CODE_LOST:
                return exit_code is not None
            try:
                self._pidfd = os.pidfd_open(self.pid)
            except ProcessLookupError:
                return True
            self.watched = self._pidfd
        process = select.poll()
        process.register(self._pidfd, select.POLLIN)
        return bool(process.poll(0))

    def exit_code(self) -> int:
        """Return the exit code of the process that has ended; negative for a signal, 255 when it is lost."""
        exit_code = self._process.poll()
        return _EXIT_CODE_LOST if exit_code is None else exit_code

    def exit_reason(self) -> str | None:
        """Return why the process that has ended did so, in words; None for exit code 0."""
        return exit_reason(self.exit_code())

    def kill(self) -> None:
        """Send SIGKILL; nothing happens when the process is gone."""
        if self._pidfd is None:
            self._process.kill()
        else:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Close every descriptor of a process that has ended."""
        self._connection.close()
        self._process.close()
        if self._pidfd is not None:
            os.close(self._pidfd)


def exit_reason(code: int) -> str | None:
    """Return what an exit code means, in words; None for 0, negative codes are signals."""
    if code == 0:
        return None
    if code < 0:
        return f"killed by signal {-code}{_signal_name(-code)}"
    if code == _EXIT_CODE_LOST:
        return "ended for an unknown reason: its exit code is lost"
    return f"ended with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        # Real-time signals have numbers only.
        return ""


class _Inherited:
    """A descriptor that travels with a process being started and arrives as a plain number.

    Pickled with nothing but the standard library, so that a worker does not import this module.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return operator.methodcaller("detach"), (reduction.DupFd(self._descriptor),)


class Door:
    """Starts workers. There is one, made before any other thread exists.

    Takes secrets and the service manager's socket out of this process's environment, for good: the template and all
    workers inherit it.

    Args:
        board_descriptor: the board's memory file.
    """

    def __init__(self, board_descriptor: int) -> None:
        self._board_descriptor = board_descriptor
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        for name in SECRET_VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(_NUMPY_SETTINGS)
        # Starting the tracker unblocks SIGINT and SIGTERM, which would undo what `_children_as_we_want_them` does.
        with _children_as_we_want_them():
            resource_tracker.ensure_running()
        with _children_as_we_want_them():
            _ensure_template()

    def start(self, row: int) -> WorkerProcess:
        """Fork a worker from the template; waits for the fork, about a millisecond, not for the worker.

        Raises:
            LaunchError: the operating system refuses another process or descriptor.
        """
        try:
            ours, theirs = self._context.Pipe()
        except OSError as exc:
            raise LaunchError(f"cannot start a worker: {exc}") from exc
        with theirs:
            _bound_waiting(ours)
            process = self._context.Process(
                target=worker.main.run, args=(theirs, _Inherited(self._board_descriptor), row), name="sondad-worker"
            )
            try:
                with _children_as_we_want_them():
                    _ensure_template()
                    # Not process.start(): that polls every other child, which makes a thousandth worker ten times as
                    # expensive as the first, and makes the interpreter wait for all of them without limit at its exit.
                    popen = Popen(process)
            except OSError as exc:
                ours.close()
                raise LaunchError(f"cannot start a worker: {exc}") from exc
            except EOFError as exc:
                ours.close()
                raise LaunchError("cannot start a worker: the process that forks them has ended") from exc
        return WorkerProcess(popen, ours, row)


def _ensure_template() -> None:
    # multiprocessing keeps the template's socket in a folder under /tmp, which SIGKILL of this process would leave
    # behind. A socket can also be reached through a descriptor of its file, so the file and the folder go at once;
    # the folder is made here because multiprocessing would miss its own at exit.
    configuration: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    configuration.setdefault("tempdir", "/nonexistent")
    try:
        forkserver.ensure_running()
    except FileNotFoundError:
        folder = Path(tempfile.mkdtemp(prefix="sondad-"))
        configuration["tempdir"] = str(folder)
        forkserver.ensure_running()
        server: Any = forkserver._forkserver
        socket_file = Path(server._forkserver_address)
        descriptor = os.open(socket_file, os.O_PATH | os.O_CLOEXEC)
        socket_file.unlink()
        folder.rmdir()
        server._forkserver_address = f"/proc/self/fd/{descriptor}"


@contextmanager
def _children_as_we_want_them() -> Iterator[None]:
    """Make what is started meanwhile import nothing of our main script, and keep signals until it handles them.

    So what reaches the whole process group ends neither the tracker nor the template. The template lends its signal
    mask to every worker; a worker unblocks once its handlers are in place.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _UNTIL_HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        sys.modules["__main__"] = main


def _bound_waiting(connection: "Connection") -> None:
    with socket.socket(fileno=os.dup(connection.fileno())) as pipe:
        pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PIPE_PATIENCE)
        pipe.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PIPE_PATIENCE)
