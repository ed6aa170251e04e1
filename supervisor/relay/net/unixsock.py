"""Unix listening sockets: created with their final owner and mode, stale files replaced, foreign ones left alone.

Source: docs/relay.md, "Starting and stopping one client".
"""

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final

from common.errors import SondadError

# sun_path of Linux holds 108 bytes with its terminating zero.
MAX_PATH_BYTES: Final = 107
_BACKLOG: Final = 128


class SocketPathError(SondadError):
    """A socket that cannot be created; the message names the path, what was found and the remedy."""


class BoundSocket:
    """A listening Unix socket that remembers which file it created."""

    def __init__(self, sock: socket.socket, path: str) -> None:
        self.sock = sock
        self.path = path
        self._file_id = _file_id(path)

    def owns_path(self) -> bool:
        """Return whether the file at the path is still the one created here."""
        return self._file_id is not None and _file_id(self.path) == self._file_id

    def set_access(self, mode: int, uid: int, gid: int) -> None:
        """Change mode and owner (-1: unchanged) of the file, when it is still ours."""
        if self.owns_path():
            _set_access(self.path, mode, uid, gid)

    def unlink(self) -> None:
        """Remove the file, when it is still ours."""
        if self.owns_path():
            Path(self.path).unlink(missing_ok=True)


def listen(path: str, mode: int, uid: int = -1, gid: int = -1) -> BoundSocket:
    """Return a non-blocking, close-on-exec listener at `path` with `mode` and owner (-1: unchanged).

    Nobody can connect before the mode and the owner are final. Where this process may not change the owner the file
    becomes 0666: the peer's credentials decide, the file mode is only defence in depth.

    Raises:
        SocketPathError: something else lives at `path`, or it cannot be created.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        umask = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(umask)
        bound = BoundSocket(sock, path)
        _set_access(path, mode, uid, gid)
        sock.listen(_BACKLOG)
    except OSError as exc:
        sock.close()
        raise SocketPathError(
            f"cannot create socket {path}: {exc.strerror}; check that its directory exists and is writable"
        ) from exc
    return bound


def _remove_stale(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise SocketPathError(f"cannot examine {path}: {exc.strerror}") from exc
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketPathError(f"{path} is {_kind(found.st_mode)}, expected a socket or nothing; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(path)
    if code == errno.ENOENT:
        return
    if code != errno.ECONNREFUSED:
        # EAGAIN: a listener with a full backlog, alive all the same.
        raise SocketPathError(f"{path} belongs to a live listener of another process; stop it or choose another path")
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as exc:
        raise SocketPathError(f"cannot remove the stale socket {path}: {exc.strerror}") from exc


def _set_access(path: str, mode: int, uid: int, gid: int) -> None:
    Path(path).chmod(mode)
    if (uid, gid) != (-1, -1):
        try:
            os.chown(path, uid, gid, follow_symlinks=False)
        except PermissionError:
            Path(path).chmod(0o666)


def _file_id(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _kind(mode: int) -> str:
    for test, name in ((stat.S_ISLNK, "a symbolic link"), (stat.S_ISDIR, "a directory"), (stat.S_ISREG, "a file")):
        if test(mode):
            return name
    return "a special file"
