"""Files that scenarios name, opened beneath the directories they are confined to.

A path that was looked at once may lead elsewhere when it is opened: whoever may write in a directory can put a link in
its place meanwhile. So the links of a path are followed first, and then every directory on the way is opened from the
one above it without following any. Source: docs/operating.md, "Files of scenarios"; open(2), O_NOFOLLOW.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from common.plan import FileAccess

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_EVERYWHERE = FileAccess()


class ConfinedError(OSError):
    """A path that leads where files of scenarios may not be."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


class Parent(NamedTuple):
    """The directory of a file, open; None stands for the working directory and a path that nothing confines."""

    directory: int | None
    name: str

    def open(self, flags: int) -> int:
        """Return a descriptor of the file, and close the directory.

        Args:
            flags: of open(2).

        Raises:
            OSError: the operating system's.
        """
        if self.directory is None:
            return os.open(self.name, flags | os.O_CLOEXEC, 0o666)
        try:
            return os.open(self.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=self.directory)
        finally:
            os.close(self.directory)


def open_parent(path: str, access: FileAccess, *, writes: bool) -> Parent:
    """Return the directory in which the file at `path` is, to be opened in it at once.

    Args:
        path: absolute, or relative to the working directory.
        access: where files may be.
        writes: whether directories that are not there are made, and protected ones are refused.

    Raises:
        ConfinedError: the path leads out of all roots, or into a protected place.
        OSError: the operating system's.
    """
    if access == _EVERYWHERE:
        if writes:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return Parent(None, path)
    resolved = os.path.realpath(path)
    if writes and any(is_beneath(resolved, place) for place in access.protected):
        raise ConfinedError("scenarios may not write to the catalog")
    if any(is_beneath(resolved, place) for place in access.hidden):
        raise ConfinedError("scenarios may not use the daemon's own state")
    root = next((root for root in access.roots or ("/",) if is_beneath(resolved, root)), None)
    if root is None:
        raise ConfinedError(f"outside the allowed roots {', '.join(access.roots)}")
    *outer, name = Path(resolved).relative_to(root).parts or (".",)
    directory = os.open(root, _DIRECTORY)
    for step in outer:
        try:
            inner = _open_directory(step, directory, makes=writes)
        finally:
            os.close(directory)
        directory = inner
    return Parent(directory, name)


def is_beneath(path: str, root: str) -> bool:
    """Say whether an absolute path without links lies in the tree of `root`, or is it."""
    return Path(path).is_relative_to(root)


def _open_directory(name: str, directory: int, *, makes: bool) -> int:
    if makes:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=directory)
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
