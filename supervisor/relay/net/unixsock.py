"""Unix listening sockets: created with their final owner and mode, stale files replaced, foreign ones left alone.

Source: docs/relay.md, "Starting and stopping one client".
"""

import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from common.errors import SondadError
from supervisor.host.folders import foreign_hand

logger = logging.getLogger(__name__)

# sun_path of Linux holds 108 bytes with its terminating zero.
MAX_PATH_BYTES: Final = 107
_BACKLOG: Final = 128


class SocketPathError(SondadError):
    """A socket that cannot be created; the message names the path, what was found and the remedy."""


class BoundSocket:
    """A listening Unix socket that remembers which file it created."""

    def __init__(self, sock: socket.socket, path: str, file_id: tuple[int, int]) -> None:
        self.sock = sock
        self.path = path
        self._file_id = file_id

    def owns_path(self) -> bool:
        """Return whether the file at the path is still the one created here."""
        return _file_id(self.path) == self._file_id

    def set_access(self, mode: int, uid: int, gid: int) -> None:
        """Change mode and owner (-1: unchanged) of the file, when it is still ours.

        Raises:
            SocketPathError: they cannot be changed.
        """
        try:
            with _held(self.path) as descriptor:
                status = os.fstat(descriptor)
                if (status.st_dev, status.st_ino) == self._file_id:
                    _set_access(descriptor, mode, uid, gid)
        except OSError as exc:
            raise SocketPathError(f"cannot change mode and owner of socket {self.path}: {exc.strerror}") from exc

    def unlink(self) -> None:
        """Remove the file, when it is still ours; one that stays is a dead socket, which the next start removes."""
        if self.owns_path():
            try:
                Path(self.path).unlink(missing_ok=True)
            except OSError as exc:
                logger.warning("cannot remove socket %s: %s", self.path, exc.strerror)


def listen(path: str, mode: int, uid: int = -1, gid: int = -1) -> BoundSocket:
    """Return a non-blocking, close-on-exec listener at `path` with `mode` and owner (-1: unchanged).

    Nobody can connect before the mode and the owner are final, and no foreign link is followed. Where this
    process may not change the owner the file becomes 0666: the peer's credentials decide, the mode is only a second
    line of defence.

    Raises:
        SocketPathError: others may change what stands at `path`, something else lives there, or it cannot be created.
    """
    _refuse_foreign_folder(path)
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _bind(sock, path, mode)
        with _held(path) as descriptor:
            status = os.fstat(descriptor)
            _set_access(descriptor, mode, uid, gid)
        sock.listen(_BACKLOG)
    except OSError as exc:
        sock.close()
        raise SocketPathError(
            f"cannot create socket {path}: {exc.strerror}; check that its directory exists and is writable"
        ) from exc
    return BoundSocket(sock, path, (status.st_dev, status.st_ino))


def _refuse_foreign_folder(path: str) -> None:
    folder = os.path.dirname(path)  # noqa: PTH120 - a text, as it stands there
    try:
        fault = foreign_hand(folder)
    except OSError as exc:
        raise SocketPathError(
            f"cannot create socket {path}: {exc.filename}: {exc.strerror}; check that its directory exists"
        ) from exc
    if fault is not None:
        raise SocketPathError(f"cannot create socket {path}: {fault}; choose a directory that nobody else can change")


def _bind(sock: socket.socket, path: str, mode: int) -> None:
    """Create the file with its final mode: Linux takes it from the socket, minus the umask."""
    os.fchmod(sock.fileno(), mode)
    umask = os.umask(0)
    try:
        sock.bind(path)
    finally:
        os.umask(umask)


@contextlib.contextmanager
def _held(path: str) -> Iterator[int]:
    """Hold on to the very file at `path`, which must be a socket and no link to one."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), path)
        yield descriptor
    finally:
        os.close(descriptor)


def _set_access(descriptor: int, mode: int, uid: int, gid: int) -> None:
    file = Path(f"/proc/self/fd/{descriptor}")
    file.chmod(mode)
    if (uid, gid) != (-1, -1):
        try:
            os.chown(file, uid, gid)
        except PermissionError:
            file.chmod(0o666)


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
        # EAGAIN: a listener with a full backlog, alive nevertheless.
        raise SocketPathError(f"{path} belongs to a live listener of another process; stop it or choose another path")
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as exc:
        raise SocketPathError(f"cannot remove the stale socket {path}: {exc.strerror}") from exc


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
