"""Addresses as texts to addresses of sockets, without ever hanging in a name server."""

import errno
import os
import socket
from typing import Final

from common.name_lookup import Addresses, NameLookup, numeric_addresses
from common.urls import split_address
from worker.control.waiting import Waiter

CONNECT_SECS: Final = 10.0
"""Upper bound for resolving and for connecting: no scenario waits longer for a host that does not answer."""


def resolve(address: str, kind: socket.SocketKind, waiter: Waiter) -> Addresses:
    """Return all addresses behind `host:port` or `[v6]:port`, in the system's order of preference.

    Raises:
        OSError: the text is no address, the name is not known, or the name server did not answer in time.
    """
    try:
        host, port = split_address(address)
    except ValueError as exc:
        raise OSError(errno.EINVAL, "invalid socket address") from exc
    known = numeric_addresses(host, port, kind)
    return _look_up(host, port, kind, waiter) if known is None else known


def reason(error: OSError) -> str:
    """Return the cause as users read it: a resolver's failure has no operating-system number."""
    if isinstance(error, socket.gaierror):
        return f"failed to lookup address information: {error.strerror}"
    if error.errno == errno.EINVAL and error.strerror == "invalid socket address":
        return error.strerror
    return f"{error.strerror or error} (os error {error.errno})"


def _look_up(host: str, port: int, kind: socket.SocketKind, waiter: Waiter) -> Addresses:
    done, working = socket.socketpair()
    lookup = NameLookup(host, port, kind, working.close)
    with done:
        if not waiter.until_readable(done.fileno(), CONNECT_SECS):
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    return lookup.addresses()
