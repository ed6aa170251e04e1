"""Addresses as texts to addresses of sockets, without ever hanging in a name server."""

import errno
import os
import socket
import threading
from collections.abc import Sequence
from typing import Any, Final

from common.urls import split_address
from worker.control.waiting import Waiter

CONNECT_SECS: Final = 10.0
"""Upper bound for resolving and for connecting: no scenario waits longer for a host that does not answer."""

_Addresses = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]


def resolve(address: str, kind: socket.SocketKind, waiter: Waiter) -> _Addresses:
    """Return all addresses behind `host:port` or `[v6]:port`, in the system's order of preference.

    Raises:
        OSError: the text is no address, the name is not known, or the name server did not answer in time.
    """
    try:
        host, port = split_address(address)
    except ValueError as exc:
        raise OSError(errno.EINVAL, "invalid socket address") from exc
    try:
        return socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return _look_up(host, port, kind, waiter)


def reason(error: OSError) -> str:
    """Return the cause as users read it: a resolver's failure has no operating-system number."""
    if isinstance(error, socket.gaierror):
        return f"failed to lookup address information: {error.strerror}"
    if error.errno == errno.EINVAL and error.strerror == "invalid socket address":
        return error.strerror
    return f"{error.strerror or error} (os error {error.errno})"


def _look_up(host: str, port: int, kind: socket.SocketKind, waiter: Waiter) -> _Addresses:
    # The resolver of the C library cannot be interrupted, so it runs beside the main thread; a thread that is given up
    # ends with the resolver's own limit, or with the process.
    found: list[_Addresses | OSError] = []
    done, working = socket.socketpair()

    def ask() -> None:
        with working:
            try:
                found.append(socket.getaddrinfo(host, port, type=kind))
            except OSError as exc:
                found.append(exc)

    with done:
        threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
        if not waiter.until_readable(done.fileno(), CONNECT_SECS):
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    answer = found[0]
    if isinstance(answer, OSError):
        raise answer
    return answer
