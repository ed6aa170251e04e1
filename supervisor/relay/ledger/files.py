"""Whether the files of the store are still as this process left them.

SQLite keeps other SQLite processes out, but nobody can keep a backup script from moving a file away or writing over it:
commits would go on, to a file that no restart will find.

The kernel says when somebody opens, closes, moves or touches a file. While nobody else has one open, all that a commit
has to ask is whether the log is shorter than it was, because a file can be cut by its name. While somebody has, and
where the kernel does not say, the files are compared before every commit with what the one before it left.
"""

import contextlib
import logging
import os
import time
from collections import deque
from pathlib import Path
from typing import Final

from common.errors import SondadError
from supervisor.host import inotify
from supervisor.host.inotify import FileEvent, Inotify

logger = logging.getLogger(__name__)

_CHECK_SECS: Final = 0.25
_TOLD: Final = (
    inotify.OPENED | inotify.CLOSED_AFTER_READING | inotify.CLOSED_AFTER_WRITING | inotify.ATTRIBUTES | inotify.MOVED
)


class StoreError(SondadError):
    """A transaction that was not made durable; nothing of it remains.

    Attributes:
        is_full: there is no room left on the disk.
        is_changed: somebody else changed the files of the store.
    """

    def __init__(self, message: str, *, is_full: bool = False, is_changed: bool = False) -> None:
        super().__init__(message)
        self.is_full = is_full
        self.is_changed = is_changed


class StoreFiles:
    """The database and its log, both open in SQLite. Not for two threads at once, but for `hear`.

    PERF: asked before every commit. What commits do not touch, the database and the place of the directory, is looked
    at a few times a second, and before the log is folded into the database.

    Attributes:
        descriptor: readable when there is something to `hear`; None where the kernel does not say.
    """

    def __init__(self, database: Path) -> None:
        self._directory = database.parent
        self._folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._database = _StoreFile(self._folder, database.name)
        self._log = _StoreFile(self._folder, f"{database.name}-wal")
        self._files = (self._database, self._log)
        self._checked_secs = 0.0
        self._heard: deque[FileEvent] = deque()
        self._changed: _StoreFile | None = None
        self._inotify = self._watch()
        self._is_compared = self._inotify is None
        self.descriptor = None if self._inotify is None else self._inotify.descriptor

    def hear(self) -> None:
        """Take from the kernel what has happened to the files; safe beside every other method."""
        if self._inotify is not None:
            self._heard.extend(self._inotify.read())

    def remember(self) -> None:
        """Take note of what our own write left."""
        for file in self._files:
            file.remember()

    def remember_commit(self) -> None:
        """Do the same after a commit: nothing, as long as nobody else can have written."""
        if self._is_compared:
            self.remember()

    def check(self, *, everything: bool = False) -> None:
        """Find out whether somebody else has changed a file since `remember`.

        Args:
            everything: at once, and not only what a commit touches.

        Raises:
            StoreError: which one, and in which way; again and again until `accept`.
        """
        now_secs = time.monotonic()
        is_due = everything or bool(self._heard) or now_secs - self._checked_secs >= _CHECK_SECS
        if not self._is_compared:
            self._refuse(self._log, self._log.shortening())
            if not is_due:
                return
            self._refuse(self._database, self._database.shortening())
        if self._heard:
            self._judge_heard()
        if self._is_compared:
            if self._changed is not None:
                self._refuse(self._changed, self._changed.difference() or "open for writing")
            for file in self._files:
                self._refuse(file, file.difference())
        if is_due:
            if self._is_directory_gone():
                raise _changed_error(self._directory, "moved away")
            self._checked_secs = now_secs

    def accept(self) -> None:
        """Go on with the files as they are now."""
        self._changed = None
        self._is_compared = self._inotify is None or any(file.visitors for file in self._files)
        self.remember()

    def is_replaced(self) -> bool:
        """Return whether a file or the directory is gone or is another one, or a file is shorter than it was."""
        return self._is_directory_gone() or any(file.is_replaced() for file in self._files)

    def close(self) -> None:
        """Give the descriptors back; only after SQLite has: its locks end with any descriptor of their file."""
        if self._inotify is not None:
            self._inotify.close()
        for file in self._files:
            file.close()
        os.close(self._folder)

    def _refuse(self, file: "_StoreFile", how: str | None) -> None:
        if how is not None:
            raise _changed_error(self._directory / file.name, how)

    def _watch(self) -> Inotify | None:
        watcher = None
        try:
            watcher = Inotify()
            for file in self._files:
                file.watch = watcher.add(str(self._directory / file.name), _TOLD)
        except OSError as exc:
            logger.info("files of the store are compared at every commit: cannot watch them: %s", exc.strerror)
            if watcher is not None:
                watcher.close()
            return None
        return watcher

    def _judge_heard(self) -> None:
        """Take note of who has a file open now, and of what may have been changed unseen."""
        was_compared = self._is_compared
        while self._heard:
            watch, kinds = self._heard.popleft()
            for file in self._files:
                if watch in (file.watch, -1) and file.is_doubtful_after(kinds, was_compared=was_compared):
                    self._changed = file
        self._is_compared = self._changed is not None or any(file.visitors for file in self._files)
        if not was_compared and self._changed is None:
            self.remember_commit()

    def _is_directory_gone(self) -> bool:
        here = os.fstat(self._folder)
        try:
            there = self._directory.stat()
        except OSError:
            return True
        return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)


class _StoreFile:
    """One file, as we left it and as it stands in the directory.

    Attributes:
        watch: its number in events.
        visitors: how many others have it open, as far as events tell.
    """

    def __init__(self, folder: int, name: str) -> None:
        self.name = name
        self.watch = 0
        self.visitors = 0
        self._folder = folder
        self._descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        self.remember()

    def remember(self) -> None:
        self._known = _look(os.fstat(self._descriptor))
        self._size_bytes = self._known[2]

    def difference(self) -> str | None:
        """Return how the file differs from what we left."""
        now = self._now()
        return None if now == self._known else _how(self._known, now)

    def shortening(self) -> str | None:
        """Return `cut short` when the file is shorter than it was when this was asked last."""
        size_bytes = os.lseek(self._descriptor, 0, os.SEEK_END)
        if size_bytes < self._size_bytes:
            return "cut short"
        self._size_bytes = size_bytes
        return None

    def is_replaced(self) -> bool:
        now = self._now()
        return now is None or now[:2] != self._known[:2] or now[2] < self._size_bytes

    def is_doubtful_after(self, kinds: int, *, was_compared: bool) -> bool:
        """Take note of an event; return whether the file may have been changed in a way that nobody has seen."""
        if kinds & inotify.OPENED:
            self.visitors += 1
            return False
        if kinds & (inotify.ATTRIBUTES | inotify.MOVED):
            return self.is_replaced()
        if kinds & (inotify.CLOSED_AFTER_READING | inotify.CLOSED_AFTER_WRITING):
            self.visitors = max(self.visitors - 1, 0)
            has_written = bool(kinds & inotify.CLOSED_AFTER_WRITING)
            return has_written and not (was_compared and self.difference() is None)
        return True

    def close(self) -> None:
        os.close(self._descriptor)

    def _now(self) -> "_Look | None":
        with contextlib.suppress(OSError):
            return _look(os.stat(self.name, dir_fd=self._folder, follow_symlinks=False))
        return None


def _changed_error(path: Path, how: str) -> StoreError:
    return StoreError(f"{path} was {how} by another process", is_changed=True)


# Device, inode, size in bytes, time of change in ns.
_Look = tuple[int, int, int, int]


def _look(status: os.stat_result) -> _Look:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _how(known: _Look, now: _Look | None) -> str:
    if now is None:
        return "moved away"
    if known[:2] != now[:2]:
        return "replaced"
    return "cut short" if now[2] < known[2] else "written to"
