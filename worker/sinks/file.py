"""The file sink: truncated when the scenario starts, then written batch by batch.

Source: docs/sinks.md, "Sinks that write at once" and "How to see it".
"""

import os

from common.errors import SinkOpenError, os_error_text
from common.files import ConfinedError, open_parent
from common.plan import FileAccess
from common.specs import File
from worker.control.waiting import Waiter
from worker.sinks.context import SinkContext
from worker.sinks.plainwrite import write_events
from worker.ticks.batch import Encoded


class FileSink:
    """One file; a write that the disk cuts short leaves whole events only."""

    def __init__(self, path: str, access: FileAccess, waiter: Waiter) -> None:
        self._path = path
        self._access = access
        self._waiter = waiter
        self._descriptor: int | None = None

    def open(self) -> None:
        """Create the parent directories, and create or truncate the file.

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
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
        try:
            self._descriptor = parent.open(flags)
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


def build(spec: File, context: SinkContext) -> FileSink:
    """Return the sink of `spec`."""
    return FileSink(spec.path, context.plan.files, context.waiter)
