"""Whether the files of the store are still as this process left them.

SQLite keeps other SQLite processes out, but nobody can keep a backup script from moving a file away or writing over it:
commits would go on, to a file that no restart will find.
"""

import os
from pathlib import Path
from typing import NamedTuple

from common.errors import SondadError


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


class _Look(NamedTuple):
    file: tuple[int, int]
    size_bytes: int
    changed_ns: int


class StoreFiles:
    """The database and its log. Not for two threads at once."""

    def __init__(self, database: Path) -> None:
        self._paths = (database, Path(f"{database}-wal"))
        self._known = self._look_at_both()

    def remember(self) -> None:
        """Take note of what our own write left."""
        self._known = self._look_at_both()

    def check(self) -> None:
        """Find out whether somebody else has changed a file since `remember`.

        Raises:
            StoreError: which one, and in which way.
        """
        for path, known in zip(self._paths, self._known, strict=True):
            now = _look(path)
            if now != known:
                raise StoreError(f"{path} was {_how(known, now)} by another process", is_changed=True)

    def is_replaced(self) -> bool:
        """Return whether a file is gone, is another one, or is shorter than it was."""
        return any(
            known is not None and (now is None or now.file != known.file or now.size_bytes < known.size_bytes)
            for known, now in zip(self._known, self._look_at_both(), strict=True)
        )

    def _look_at_both(self) -> list[_Look | None]:
        return [_look(path) for path in self._paths]


def _look(path: Path) -> _Look | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - PERF: twice for every commit
    except OSError:
        return None
    return _Look((status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns)


def _how(known: _Look | None, now: _Look | None) -> str:
    if now is None:
        return "moved away"
    if known is None or known.file != now.file:
        return "replaced"
    return "cut short" if now.size_bytes < known.size_bytes else "written to"
