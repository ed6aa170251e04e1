"""The file sink: truncated when the scenario starts, then written batch by batch.

A run that goes on takes the file up where what was counted ends: events that were written and not counted are written
again, so none is there twice.

Source: docs/sinks.md, "Sinks that write at once" and "How to see it".
"""

import os
import stat

from common.checkpoints import Resume
from common.errors import SinkOpenError, os_error_text
from common.files import ConfinedError, open_parent
from common.plan import FileAccess
from common.specs import File
from worker.control.waiting import Waiter
from worker.sinks.context import SinkContext
from worker.sinks.plainwrite import write_events
from worker.ticks.batch import Encoded


class FileSink:
    """One file; a write that the disk cuts short leaves whole events only.

    Args:
        path: where it is.
        access: where it may be.
        waiter: for named pipes without room.
        resume: how the run goes on that was interrupted; None for one that begins.
    """

    def __init__(self, path: str, access: FileAccess, waiter: Waiter, resume: Resume | None = None) -> None:
        self._path = path
        self._resume = resume
        self._access = access
        self._waiter = waiter
        self._descriptor: int | None = None

    def open(self) -> None:
        """Create the parent directories, and create the file, or truncate it to what was kept of it.

        Raises:
            SinkOpenError: with the path and the operating system's reason.
        """
        try:
            parent = open_parent(self._path, self._access, writes=True)
        except ConfinedError as exc:
            raise SinkOpenError(f"failed to open {self._path} for writing: {os_error_text(exc)}") from exc
        except OSError as exc:
            raise SinkOpenError(f"failed to create parent directories for {self._path}: {os_error_text(exc)}") from exc
        # Non-blocking for named pipes: opening one without a reader has to fail, not to hang. Appending for files that
        # a log rotation truncates meanwhile: the next write goes to their new end.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
        try:
            if self._resume is None:
                self._descriptor = parent.open(flags | os.O_TRUNC)
            else:
                self._descriptor = parent.open(flags)
                _cut_off(self._descriptor, self._resume.kept_bytes)
        except OSError as exc:
            raise SinkOpenError(f"failed to open {self._path} for writing: {os_error_text(exc)}") from exc

    def write(self, encoded: Encoded) -> None:
        """Write the events at the end of what was written before.

        Raises:
            SinkError: with the operating system's reason; the next write may succeed.
        """
        assert self._descriptor is not None  # noqa: S101 - opened before the first tick
        write_events(self._descriptor, encoded, self._waiter)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _cut_off(descriptor: int, kept_bytes: int | None) -> None:
    """Cut off what is behind `kept_bytes` of a regular file; one that is shorter was rotated away meanwhile."""
    found = os.fstat(descriptor)
    if kept_bytes is not None and stat.S_ISREG(found.st_mode) and found.st_size > kept_bytes:
        os.ftruncate(descriptor, kept_bytes)


def build(spec: File, context: SinkContext) -> FileSink:
    """Return the sink of `spec`."""
    return FileSink(spec.path, context.plan.files, context.waiter, context.resume)
