"""TCP connections that are made while a stop can still reach the worker."""

import errno
import os
import socket
import time

from worker.control.waiting import Waiter
from worker.sinks.resolve import CONNECT_SECS, resolve


def connect(address: str, waiter: Waiter) -> socket.socket:
    """Return a non-blocking connection to `host:port`, trying every address of the host.

    Raises:
        OSError: no address took the connection in time; the reason is that of the last attempt.
    """
    addresses = resolve(address, socket.SOCK_STREAM, waiter)
    until = time.monotonic() + CONNECT_SECS
    error = errno.EADDRNOTAVAIL
    for tried, (family, kind, protocol, _, where) in enumerate(addresses):
        # An address that does not answer must leave time for the others.
        share = (until - time.monotonic()) / (len(addresses) - tried)
        connection = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        error = connection.connect_ex(where)
        if error == errno.EINPROGRESS:
            answered = waiter.until_writable(connection.fileno(), share)
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if answered else errno.ETIMEDOUT
        if not error:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        connection.close()
    raise OSError(error, os.strerror(error))
