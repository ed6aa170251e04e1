"""Whether the files of the store are still as this process left them.

SQLite keeps other SQLite processes out, but nobody can keep a backup script from moving a file away or writing over it:
commits would go on, to a file that no restart will find.
"""

import os
import time
from pathlib import Path
from typing import Final

from common.errors import SondadError

_DIRECTORY_SECS: Final = 0.25


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
    """The database and its log. Not for two threads at once.

    PERF: asked before and after every commit, so by descriptor and relative to the open directory; that the directory
    itself is still where it was is looked at a few times a second.
    """

    def __init__(self, database: Path) -> None:
        self._directory = database.parent
        self._folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._files = [_File(self._folder, name) for name in (database.name, f"{database.name}-wal")]
        self._directory_checked = 0.0
        self.remember()

    def remember(self) -> None:
        """Take note of what our own write left."""
        for file in self._files:
            file.remember()

    def check(self) -> None:
        """Find out whether somebody else has changed a file since `remember`.

        Raises:
            StoreError: which one, and in which way.
        """
        for file in self._files:
            now = file.now()
            if now != file.known:
                how = _how(file.known, now)
                raise StoreError(f"{self._directory / file.name} was {how} by another process", is_changed=True)
        if time.monotonic() - self._directory_checked >= _DIRECTORY_SECS:
            if self._is_directory_gone():
                raise StoreError(f"{self._directory} was moved away by another process", is_changed=True)
            self._directory_checked = time.monotonic()

    def is_replaced(self) -> bool:
        """Return whether a file or the directory is gone or is another one, or a file is shorter than it was."""
        looks = [(file.known, file.now()) for file in self._files]
        return self._is_directory_gone() or any(
            known is not None and (now is None or now[:2] != known[:2] or now[2] < known[2]) for known, now in looks
        )

    def close(self) -> None:
        """Give the descriptors back."""
        for file in self._files:
            file.close()
        os.close(self._folder)

    def _is_directory_gone(self) -> bool:
        here = os.fstat(self._folder)
        try:
            there = self._directory.stat()
        except OSError:
            return True
        return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)


class _File:
    """One file: `known` as we left it, `now` as it stands in the directory."""

    def __init__(self, folder: int, name: str) -> None:
        self.name = name
        self.known: _Look | None = None
        self._folder = folder
        self._descriptor = -1

    def remember(self) -> None:
        if self._descriptor < 0:
            flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                self._descriptor = os.open(self.name, flags, dir_fd=self._folder)
            except FileNotFoundError:
                return  # the log is created by the first commit
        self.known = _look(os.fstat(self._descriptor))

    def now(self) -> "_Look | None":
        try:
            return _look(os.stat(self.name, dir_fd=self._folder, follow_symlinks=False))
        except OSError:
            return None

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


# Device, inode, size in bytes, time of change in ns.
_Look = tuple[int, int, int, int]


def _look(status: os.stat_result) -> _Look:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _how(known: _Look | None, now: _Look | None) -> str:
    if now is None:
        return "moved away"
    if known is None or known[:2] != now[:2]:
        return "replaced"
    return "cut short" if now[2] < known[2] else "written to"
