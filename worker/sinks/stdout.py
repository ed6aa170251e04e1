"""The stdout sink: whole lines on the daemon's own standard output, which all workers share.

::

    worker ──┐                       ┌──► pipe, socket, terminal: never blocks, chunks of whole lines
    worker ──┼── record lock ────────┤
    worker ──┘                       └──► regular file, null device: one write, no lock

A chunk of at most PIPE_BUF bytes is taken by a pipe whole or not at all. The lock is held while there is room and
released while waiting for it, except inside a line that is longer than that. Descriptor 1 is not made non-blocking:
that would reach every process that shares it, so a description of our own is opened where the kernel allows it.

Source: docs/operating.md, "Start"; docs/sinks.md, "Sinks that write at once".
"""

import os
import select
import socket
import stat
from collections.abc import Callable
from errno import ENXIO
from typing import Final

import numpy as np

from common.errors import SinkError, SinkOpenError, os_error_text
from common.specs import Stdout
from worker.control.waiting import Waiter
from worker.sinks.context import SinkContext
from worker.sinks.plainwrite import timed_out, write_events
from worker.sinks.turn import Turn
from worker.ticks.batch import Encoded

_STDOUT: Final = 1
_NULL_DEVICE: Final = os.makedev(1, 3)


class StdoutSink:
    """Descriptor 1, shared with other workers.

    Args:
        waiter: all waiting.
        lock_descriptor: see `SinkContext`.
    """

    def __init__(self, waiter: Waiter, lock_descriptor: int) -> None:
        self._waiter = waiter
        self._turn = Turn(lock_descriptor, waiter)
        self._descriptor = _STDOUT
        self._send: Callable[[memoryview], int] | None = None
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Find out what stdout is, and get a way to write to it that never blocks.

        Raises:
            SinkOpenError: there is no stdout.
        """
        try:
            status = os.fstat(_STDOUT)
        except OSError as exc:
            raise SinkOpenError(os_error_text(exc)) from exc
        if stat.S_ISREG(status.st_mode) or (stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL_DEVICE):
            return
        if stat.S_ISSOCK(status.st_mode):
            self._socket = socket.socket(fileno=os.dup(_STDOUT))
            self._descriptor = self._socket.fileno()
            self._send = self._send_to_socket
            return
        try:
            self._descriptor = os.open(
                f"/proc/self/fd/{_STDOUT}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            )
            self._send = self._send_to_own
        except OSError as exc:
            if exc.errno == ENXIO:
                self._waiter.report_stdout_closed()
            self._send = self._send_to_shared

    def write(self, encoded: Encoded) -> None:
        """Write the lines; once the reader is gone they count as delivered.

        Raises:
            SinkError: any other failure, with the operating system's reason.
        """
        if self._waiter.stdout_discards:
            return
        if self._send is None:
            write_events(_STDOUT, encoded, self._waiter)
            return
        try:
            self._send_chunks(self._send, encoded)
        except ConnectionError:
            self._waiter.report_stdout_closed()

    def close(self) -> None:
        """Close what `open` has opened; stdout itself stays."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        elif self._descriptor != _STDOUT:
            os.close(self._descriptor)
        self._descriptor = _STDOUT

    def _send_chunks(self, send: Callable[[memoryview], int], encoded: Encoded) -> None:
        view = memoryview(encoded.payload)
        chunk_ends = chunk_ends_of(encoded)
        done = start = sent = 0
        try:
            while done < len(chunk_ends):
                with self._turn:
                    while done < len(chunk_ends):
                        taken = send(view[sent : chunk_ends[done]])
                        sent += taken
                        if sent == chunk_ends[done]:
                            done, start = done + 1, sent
                        elif not taken and sent == start:
                            break
                        elif not taken:
                            self._wait_for_room()
                if done < len(chunk_ends):
                    self._wait_for_room()
        except ConnectionError:
            raise
        except OSError as exc:
            raise SinkError(os_error_text(exc), delivered_bytes=encoded.whole(sent)) from exc

    def _wait_for_room(self) -> None:
        if not self._waiter.until_writable(self._descriptor):
            raise timed_out()

    def _send_to_own(self, chunk: memoryview) -> int:
        try:
            return os.write(self._descriptor, chunk)
        except BlockingIOError:
            return 0

    def _send_to_shared(self, chunk: memoryview) -> int:
        # A pipe that select() calls writable takes PIPE_BUF bytes without blocking, and the lock keeps others out.
        if not select.select((), (_STDOUT,), (), 0)[1]:
            return 0
        return os.write(_STDOUT, chunk[: select.PIPE_BUF])

    def _send_to_socket(self, chunk: memoryview) -> int:
        assert self._socket is not None  # noqa: S101 - set together with this method
        try:
            return self._socket.send(chunk, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0


def chunk_ends_of(encoded: Encoded) -> list[int]:
    """Return where to cut a payload into chunks of whole lines: of PIPE_BUF bytes at most, or of one longer line."""
    total = len(encoded.payload)
    if total <= select.PIPE_BUF:
        return [total]
    record_ends = encoded.record_ends()
    ends: list[int] = []
    start = 0
    while start < total:
        last = int(np.searchsorted(record_ends, start + select.PIPE_BUF, side="right")) - 1
        if last < 0 or record_ends[last] <= start:
            last += 1
        start = int(record_ends[last])
        ends.append(start)
    return ends


def build(_spec: Stdout, context: SinkContext) -> StdoutSink:
    """Return the sink; there is nothing to configure."""
    return StdoutSink(context.waiter, context.lock_descriptor)
