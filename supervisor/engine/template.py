"""The control plane's side of the template, the process that forks workers (`worker/template.py`).

Nothing here waits for it: requests go out without blocking, answers come in on the loop, and a template that does not
answer in time is killed and replaced. Workers outlive their template; only their exit codes are lost with it.
"""

import errno
import fcntl
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol

from common.errors import os_error_text
from common.forking import ANSWER, REQUEST, TemplateAnswer
from supervisor.engine.control_plane import LaunchError
from supervisor.host.environment import passed_on
from supervisor.host.interpreter import command
from supervisor.host.loop import Loop

logger = logging.getLogger(__name__)

ANSWER_SECS: Final = 2.0
"""How long a template that has started may take for one fork."""

BOOT_SECS: Final = 15.0
"""How long it may take to import everything, on a machine that is busy."""

_END_SECS: Final = 1.0
_FIRST_OWN: Final = 3

_NUMPY_SETTINGS: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # PERF: numpy's own logarithm for the widest vectors differs from the C library's in the last bit, so the workers
    # could not use it; without those vectors it is the C library's, 15 times as fast as calling `math.log`.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512F AVX512_SKX",
}
"""What numpy reads when the template imports it; names that a processor or version does not know are skipped."""


class Asker(Protocol):
    """Who gets the answers to one request; each method is called at most once."""

    def forked(self, pid: int, pidfd: int) -> None:
        """Take the worker's process id and a descriptor of it, which is the asker's from now on."""
        ...

    def refused(self, reason: str) -> None:
        """There is no worker, and why."""
        ...

    def exited(self, exit_code: int | None) -> None:
        """The worker's exit code, negative for a signal; None when nobody will know it."""
        ...


class TemplateProcess:
    """One template process, from its start to its end.

    Args:
        loop: of the owning thread.
        descriptors: what workers inherit: the shared files in their order, and what ends when this process does.
        on_end: called when it is gone and every asker has been told.

    Raises:
        LaunchError: the process cannot be started.
    """

    def __init__(self, loop: Loop, descriptors: tuple[int, ...], on_end: Callable[[], None]) -> None:
        self._loop = loop
        self._on_end = on_end
        self._is_ready = False
        self._unanswered: dict[int, Asker] = {}
        self._workers: dict[int, Asker] = {}
        self._next = 1
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._socket.setblocking(False)
            # Above the standard ones, which the child has as its own.
            wanted = (theirs.fileno(), *descriptors)
            inherited = tuple(fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _FIRST_OWN) for one in wanted)
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    command("worker.template", f"main{inherited}"),
                    pass_fds=inherited,
                    stdin=subprocess.DEVNULL,
                    env=child_environment(os.environ),
                )
            except OSError as exc:
                self._socket.close()
                raise LaunchError(f"cannot start the process that forks workers: {os_error_text(exc)}") from exc
            finally:
                for one in inherited:
                    os.close(one)
        self._loop.watch(self._socket.fileno(), self._receive)
        self._boot = self._loop.after(BOOT_SECS, self._give_up)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it forks at once."""
        return self._is_ready

    def ask(self, pipe: int, row: int, memory_bytes: int, asker: Asker) -> None:
        """Ask for a worker.

        Args:
            pipe: the worker's end of its control pipe; the caller closes it afterwards.
            row: its row of the board.
            memory_bytes: how much memory of its own it may use; 0 is unlimited.
            asker: gets the answers.

        Raises:
            LaunchError: the request cannot be sent.
        """
        number, self._next = self._next, self._next + 1
        try:
            socket.send_fds(self._socket, [REQUEST.pack(number, row, memory_bytes)], [pipe])
        except OSError as exc:
            raise LaunchError(f"cannot ask for a worker: {os_error_text(exc)}") from exc
        self._unanswered[number] = asker
        if self._is_ready:
            self._expect_answer(number)

    def close(self) -> None:
        """Let it leave, and see that it has; one that still imports is ended at once."""
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()
        self._boot.cancel()
        if not self._is_ready:
            self._process.kill()
        try:
            self._process.wait(_END_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECS)

    def _receive(self) -> None:
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._socket, ANSWER.size, 1)
        except BlockingIOError:
            return
        except ConnectionError:
            packet, descriptors = b"", []
        if not packet:
            self._ended()
            return
        number, kind, value = ANSWER.unpack(packet)
        match kind:
            case TemplateAnswer.READY:
                self._is_ready = True
                self._boot.cancel()
                for asked in self._unanswered:
                    self._expect_answer(asked)
            case TemplateAnswer.FORKED if not descriptors:
                # There was no room here for the descriptor; what cannot be watched must not run.
                with suppress(ProcessLookupError):
                    os.kill(value, signal.SIGKILL)
                self._unanswered.pop(number).refused("too many open files: the limit of descriptors (ulimit -n)")
            case TemplateAnswer.FORKED:
                self._workers[number] = asker = self._unanswered.pop(number)
                asker.forked(value, descriptors[0])
            case TemplateAnswer.REFUSED:
                self._unanswered.pop(number).refused(_refusal_text(value))
            case TemplateAnswer.EXITED if number in self._workers:
                self._workers.pop(number).exited(value)

    def _expect_answer(self, number: int) -> None:
        self._loop.after(ANSWER_SECS, lambda: self._give_up() if number in self._unanswered else None)

    def _give_up(self) -> None:
        logger.warning("the process that forks workers does not answer and is replaced (pid %d)", self.pid)
        # Its end shows on the socket, as any other.
        self._process.kill()

    def _ended(self) -> None:
        self.close()
        unanswered, workers = self._unanswered, self._workers
        self._unanswered, self._workers = {}, {}
        self._on_end()
        for asker in unanswered.values():
            asker.refused("the process that forks workers has ended")
        for asker in workers.values():
            asker.exited(None)


def _refusal_text(number: int) -> str:
    limits = {
        errno.EAGAIN: "the limit of processes (pids.max of the control group, ulimit -u)",
        errno.EMFILE: "the limit of descriptors (ulimit -n)",
        errno.ENOMEM: "memory is short",
    }
    what = os_error_text(OSError(number, os.strerror(number)))
    return f"{what}: {limits[number]}" if number in limits else what


def child_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the template and all workers, from this process's own."""
    return passed_on(own) | _NUMPY_SETTINGS
