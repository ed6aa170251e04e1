"""The template: a process that has imported everything a worker needs, and forks workers when it is told to.

::

    control plane ══request + control pipe══► template ──fork──► worker: `worker.main.run`
                  ◄══════ answers ═════════            ◄─reaps──

It has one thread and a frozen heap, so a worker costs a few milliseconds and a few megabytes. What the system refuses
(a process, a descriptor) is an answer, not its end; it exits when the control plane is gone. `common/forking.py`
has the packets.
"""

import errno
import os
import resource
import select
import signal
import socket
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, NoReturn

import setproctitle

import worker.main
import worker.preload
from common.forking import ANSWER, REQUEST, SharedFiles, TemplateAnswer
from common.scheduling import USUAL_SLICE_NS, ask_for_slices
from worker.control.kernel import leave_a_core

_IGNORED: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGPIPE,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)
_UNTIL_HANDLED: Final = {signal.SIGINT, signal.SIGTERM}
"""Blocked here, so that a worker is born with them blocked and loses none before its handlers are in place."""

_STDERR: Final = 2

_OOM_SCORE_ADJ: Final = "500"
"""When memory runs out the kernel takes a worker, not the control plane. Source: proc(5)."""


class WorkerTemplate:
    """Forks workers and reaps them.

    Args:
        control_plane: the socket to it.
        files: what all workers have open.
        alive_descriptor: readable when the control plane is gone.
    """

    def __init__(self, control_plane: socket.socket, files: SharedFiles, alive_descriptor: int) -> None:
        self._control_plane = control_plane
        self._files = files
        self._alive_descriptor = alive_descriptor
        self._numbers: dict[int, int] = {}
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        for descriptor in (control_plane.fileno(), self._wake_reader):
            self._poll.register(descriptor, select.POLLIN)

    def run(self) -> None:
        """Serve until the control plane is gone."""
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._answer(0, TemplateAnswer.READY, 0)
        while True:
            ready = [descriptor for descriptor, _ in self._poll.poll()]
            if self._wake_reader in ready:
                os.read(self._wake_reader, 4096)
                self._reap()
            if self._control_plane.fileno() in ready and not self._serve():
                return

    def _serve(self) -> bool:
        """Serve one request; False when there will be none."""
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._control_plane, REQUEST.size, 1)
        except ConnectionError:
            # It has gone without reading our last answer.
            return False
        if not packet:
            return False
        number, row, memory_bytes = REQUEST.unpack(packet)
        if not descriptors:
            # There was no room for it.
            self._answer(number, TemplateAnswer.REFUSED, errno.EMFILE)
            return True
        (pipe,) = descriptors
        try:
            pid = os.fork()
        except OSError as exc:
            self._answer(number, TemplateAnswer.REFUSED, exc.errno or errno.EAGAIN)
        else:
            if not pid:
                self._become_worker(pipe, row, memory_bytes)
            self._announce(number, pid)
        finally:
            os.close(pipe)
        return True

    def _announce(self, number: int, pid: int) -> None:
        try:
            # Nobody else reaps it, so the number is still its own.
            pidfd = os.pidfd_open(pid)
        except OSError as exc:
            os.kill(pid, signal.SIGKILL)
            self._answer(number, TemplateAnswer.REFUSED, exc.errno or errno.EMFILE)
            return
        self._numbers[pid] = number
        with suppress(ConnectionError):
            # As in `_answer`; the worker sees the end too.
            socket.send_fds(self._control_plane, [ANSWER.pack(number, TemplateAnswer.FORKED, pid)], [pidfd])
        os.close(pidfd)

    def _become_worker(self, pipe: int, row: int, memory_bytes: int) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control_plane.close()
            os.close(self._wake_reader)
            os.close(self._wake_writer)
            with suppress(OSError):
                Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJ)
            if memory_bytes:
                resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
            worker.main.run(Connection(pipe), self._files, row, self._alive_descriptor)
            code = 0
        except OSError as exc:
            # Descriptors or memory ran out before there was anybody to tell it to.
            _complain(f"a worker cannot start: {exc}\n")
        except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
            _complain(traceback.format_exc())
        finally:
            # The template's own exit handlers are none of a worker's business.
            os._exit(code)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            number = self._numbers.pop(pid, None)
            if number is not None:
                self._answer(number, TemplateAnswer.EXITED, os.waitstatus_to_exitcode(status))

    def _answer(self, number: int, kind: TemplateAnswer, value: int) -> None:
        with suppress(ConnectionError):
            # The end of the control plane shows when the next request is read.
            self._control_plane.send(ANSWER.pack(number, kind, value))


def _complain(text: str) -> None:
    with suppress(OSError):
        os.write(_STDERR, text.encode(errors="replace"))


def main(
    control_plane_descriptor: int, board_descriptor: int, checkpoints_descriptor: int, alive_descriptor: int
) -> None:
    """Be the template until the control plane is gone; the arguments are inherited descriptors."""
    # A standard descriptor that nobody gave us would go to the next file or socket, and stdout sinks would write there.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, _UNTIL_HANDLED)
    setproctitle.setproctitle("sondad: template")
    leave_a_core()
    with suppress(OSError):
        # Not the control plane's, whom it would hold up.
        ask_for_slices(USUAL_SLICE_NS)
    with socket.socket(fileno=control_plane_descriptor) as control_plane:
        WorkerTemplate(control_plane, SharedFiles(board_descriptor, checkpoints_descriptor), alive_descriptor).run()
    # PERF: nothing is left to be written; taking all modules down would be a twentieth of what the process costs.
    os._exit(0)
