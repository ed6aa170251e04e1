"""Who is at the other end of a Unix socket, according to the kernel.

Credentials are those of the process that called connect(), at that moment. Whatever is read from /proc afterwards is
only believed while a pidfd of that very process says that it still lives, so that a reused pid proves nothing.

Source: docs/relay.md, "Who may report what".
"""

import contextlib
import ctypes
import errno
import fnmatch
import os
import select
import socket
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from supervisor.relay.config.records import Identity

_SO_PEERGROUPS: Final = 59
_SO_PEERPIDFD: Final = 77
_CREDENTIALS: Final = struct.Struct("3i")
_MAX_GROUPS: Final = 65536
_MAX_GETSOCKOPT_BYTES: Final = 1024
_MAX_FILE_BYTES: Final = 65536
_TICKS_PER_SEC: Final = os.sysconf("SC_CLK_TCK")
# A pidfile is written by a process that already runs. Start times are known to 10 ms; a leap second is allowed for.
_PIDFILE_SLACK_SECS: Final = 1.0


class Peer(msgspec.Struct, frozen=True):
    """Effective ids of the process that called connect()."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: socket.socket) -> Peer:
    """Return the credentials of the peer of a connected Unix socket.

    Raises:
        OSError: the kernel knows none.
    """
    pid, uid, gid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    # Unmapped ids come as unsigned 32-bit values.
    return Peer(pid, uid & 0xFFFFFFFF, gid & 0xFFFFFFFF)


def mismatch(sock: socket.socket, peer: Peer, wanted: Identity) -> str | None:
    """Return the name of the first attribute that `peer` does not have, None when all match."""
    if wanted.uid is not None and peer.uid != wanted.uid:
        return "uid"
    if wanted.gid is not None and peer.gid != wanted.gid and wanted.gid not in _groups_of(sock):
        return "gid"
    if not (wanted.pidfile or wanted.unit or wanted.cgroup or wanted.exe):
        return None
    try:
        with _pidfd_of(sock, peer) as pidfd:
            reason = _process_mismatch(peer.pid, wanted)
            if reason is None and select.select([pidfd], [], [], 0)[0]:
                return "dead"
            return reason
    except (OSError, ValueError, LookupError):
        return "unreadable"


def cgroup_has_unit(cgroup: str, unit: str) -> bool:
    """Return whether a component of the path `cgroup` equals `unit` or matches it as a glob."""
    return any(part == unit or fnmatch.fnmatchcase(part, unit) for part in cgroup.split("/") if part)


def cgroup_is_under(cgroup: str, ancestor: str) -> bool:
    """Return whether the path `cgroup` equals `ancestor` or lies under it, by whole components."""
    parts = [part for part in cgroup.split("/") if part]
    wanted = [part for part in ancestor.split("/") if part]
    return parts[: len(wanted)] == wanted


def cgroup_path(listing: str) -> str | None:
    """Return the path from `/proc/<pid>/cgroup`: the unified hierarchy, else the one systemd names."""
    named = None
    for line in listing.splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and controllers == "":
            return path
        if controllers == "name=systemd":
            named = path
    return named


def _process_mismatch(pid: int, wanted: Identity) -> str | None:
    if wanted.pidfile is not None and not _wrote_pidfile(pid, wanted.pidfile):
        return "pidfile"
    if wanted.unit is not None or wanted.cgroup is not None:
        cgroup = cgroup_path(_read(f"/proc/{pid}/cgroup"))
        if cgroup is None:
            return "unreadable"
        if wanted.unit is not None and not cgroup_has_unit(cgroup, wanted.unit):
            return "unit"
        if wanted.cgroup is not None and not cgroup_is_under(cgroup, wanted.cgroup):
            return "cgroup"
    if wanted.exe is not None and str(Path(f"/proc/{pid}/exe").readlink()) != wanted.exe:
        return "exe"
    return None


def _wrote_pidfile(pid: int, path: str) -> bool:
    """Return whether the pidfile names `pid` and is not older than that process.

    A process younger than the pidfile got the number of a dead one whose pidfile was left behind.
    """
    text, written_secs = _read_regular(path)
    if text.strip() != str(pid):
        return False
    start_ticks = int(_read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19])
    age_secs = time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / _TICKS_PER_SEC
    return time.time() - age_secs <= written_secs + _PIDFILE_SLACK_SECS


def _read_regular(path: str) -> tuple[str, float]:
    """Return content and time of change of a file that a client may have put there.

    A FIFO without a writer must not stop the relay, and no device is read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return file.read(_MAX_FILE_BYTES).decode("utf-8", "surrogateescape"), status.st_mtime


def _read(path: str) -> str:
    with Path(path).open("rb") as file:
        return file.read(_MAX_FILE_BYTES).decode("utf-8", "surrogateescape")


def _groups_of(sock: socket.socket) -> tuple[int, ...]:
    """Return the supplementary groups at connect(); empty, which matches nothing, when the kernel does not tell."""
    try:
        raw_groups = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_GETSOCKOPT_BYTES)
    except OSError as exc:
        if exc.errno != errno.ERANGE:
            return ()
        raw_groups = _many_groups_of(sock)
    return struct.unpack(f"{len(raw_groups) // 4}I", raw_groups)


def _many_groups_of(sock: socket.socket) -> bytes:
    """Read more groups than `socket.getsockopt` has room for."""
    buffer = ctypes.create_string_buffer(4 * _MAX_GROUPS)
    length = ctypes.c_uint(len(buffer))
    getsockopt = ctypes.CDLL(None).getsockopt
    failed = getsockopt(sock.fileno(), socket.SOL_SOCKET, _SO_PEERGROUPS, buffer, ctypes.byref(length))
    return b"" if failed else buffer.raw[: length.value]


@contextlib.contextmanager
def _pidfd_of(sock: socket.socket, peer: Peer) -> Iterator[int]:
    try:
        pidfd = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:  # Linux before 6.5
        pidfd = os.pidfd_open(peer.pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)
