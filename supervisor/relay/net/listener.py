"""Listening sockets of the relay: how many connections each may have, and of whom.

Source: docs/relay.md, "Starting and stopping one client", "Reports" and "As a service".
"""

import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

from supervisor.relay.net.connection import ClientConnection
from supervisor.relay.net.exchange import Caller, RelayExchange
from supervisor.relay.net.http import Http

logger = logging.getLogger(__name__)

_NO_DESCRIPTOR_PAUSE_SECS: Final = 1.0
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def _nothing() -> None:
    """Do nothing: a listener that nobody closes has nobody to tell."""


class Listener:
    """A bound socket, its connections, and who decides about its peers and requests.

    Args:
        http: what all listeners share.
        sock: listening, non-blocking; owned from now on.
        admit: the verdict about a peer, taken once per connection at accept.
        serve: answers one request, now or later.
        max_connections: of admitted peers; at this number the socket is not polled. Strangers take no place.
        for_clients: whether it waits while descriptors are short; the admin socket answers then, too.
    """

    def __init__(
        self,
        http: Http,
        sock: socket.socket,
        admit: Callable[[socket.socket], Caller],
        serve: Callable[[RelayExchange], None],
        max_connections: int,
        *,
        for_clients: bool = True,
    ) -> None:
        self.connections: set[ClientConnection] = set()
        self._http = http
        self._serve = serve
        self._for_clients = for_clients
        self._admitted = 0
        self._sock = sock
        self._admit = admit
        self._max_connections = max_connections
        self._open = True
        self._polled = False
        self._on_drained: Callable[[], None] = _nothing
        http.listeners.add(self)
        self._poll()

    def limit(self, max_connections: int) -> None:
        """Change the limit; connections above it stay."""
        self._max_connections = max_connections
        self._poll()

    def sweep(self, now: float) -> None:
        """Drop the connections whose time is over at the monotonic time `now`."""
        for connection in list(self.connections):
            if connection.deadline is not None and connection.deadline <= now:
                connection.close()

    def close(self, on_drained: Callable[[], None]) -> None:
        """Stop listening and drop idle connections; `on_drained` follows when requests whose head was read are over."""
        self._on_drained = on_drained
        if self._open:
            self._open = False
            self._unpoll()
            self._sock.close()
        for connection in list(self.connections):
            if connection.is_idle():
                connection.close()
        self._end_if_drained()

    def abort(self) -> None:
        """Drop every connection."""
        for connection in list(self.connections):
            connection.close()

    def _closed(self, connection: ClientConnection) -> None:
        self.connections.discard(connection)
        self._http.open_connections -= 1
        if connection.caller.denied is None:
            self._admitted -= 1
        else:
            self._http.forget_stranger(connection)
        if self._open:
            self._poll()
        else:
            self._end_if_drained()

    def _end_if_drained(self) -> None:
        if not self.connections and self in self._http.listeners:
            self._http.listeners.discard(self)
            self._http.loop.soon(self._on_drained)

    def _poll(self) -> None:
        if self._open and not self._polled and not self._is_full():
            self._polled = True
            self._http.loop.watch(self._sock.fileno(), self._accept)

    def _unpoll(self) -> None:
        if self._polled:
            self._polled = False
            self._http.loop.unwatch(self._sock.fileno())

    def _is_full(self) -> bool:
        return self._admitted >= self._max_connections

    def _pause(self, why: str) -> None:
        logger.warning("cannot accept a connection: %s; trying again", why)
        self._unpoll()
        self._http.loop.after(_NO_DESCRIPTOR_PAUSE_SECS, self._poll)

    def _accept(self) -> None:
        if self._is_full():
            self._unpoll()
            return
        if self._for_clients and not self._http.has_descriptors():
            self._pause("too many are open; raise the limit of open files (LimitNOFILE=)")
            return
        try:
            sock, _ = self._sock.accept()
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno in _EXHAUSTED:
                self._pause(exc.strerror or str(exc))
            return
        sock.setblocking(False)
        try:
            caller = self._admit(sock)
        except OSError:
            sock.close()
            return
        connection = ClientConnection(sock, self._http, caller, self._serve, self._closed)
        self.connections.add(connection)
        self._http.open_connections += 1
        if caller.denied is None:
            self._admitted += 1
        else:
            self._http.add_stranger(connection)
        connection.start()
