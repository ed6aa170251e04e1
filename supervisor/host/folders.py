"""Whether a folder is in our hands alone: nobody else can put a link where we are about to create or change a file.

Walks the path as the kernel does, link by link, since each folder on the way decides what the rest of it means.

Source: path_resolution(7); the same rule as StrictModes of sshd_config(5).
"""

import os
import stat
from pathlib import PurePosixPath

_MAX_LINKS = 40


def foreign_hand(folder: str) -> str | None:
    """Return which part of the absolute path `folder` others could replace, and who; None when nobody can.

    Folders must belong to root or to this process and be writable by nobody else. On the way to `folder`, not in it, a
    sticky one such as `/tmp` may be writable by all: nobody can replace there what belongs to others.

    Raises:
        OSError: a part does not exist or cannot be examined.
    """
    names = [*reversed(PurePosixPath(folder).parts[1:])]
    current = "/"
    links = 0
    while True:
        status = os.lstat(current)
        fault = _fault(current, status, is_last=not names)
        if fault is not None or not names:
            return fault
        following = os.path.normpath(os.path.join(current, names.pop()))  # noqa: PTH118 - texts, as they stand there
        if stat.S_ISLNK(os.lstat(following).st_mode):
            links += 1
            if links > _MAX_LINKS:
                return f"{following} is a link that leads in a circle"
            target = os.readlink(following)  # noqa: PTH115 - a text, as it stands there
            names.extend(reversed([name for name in target.split("/") if name not in ("", ".")]))
            following = "/" if target.startswith("/") else current
        current = following


def _fault(path: str, status: os.stat_result, *, is_last: bool) -> str | None:
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to uid {status.st_uid}, expected uid {os.geteuid()} or root"
    if mode & 0o022 and (is_last or not mode & stat.S_ISVTX):
        return f"{path} is writable by others (mode {mode:04o})"
    return None
