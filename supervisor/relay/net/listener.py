"""Listening sockets of the relay and what all of them share.

Source: docs/relay.md, "Starting and stopping one client", "Reports" and "As a service".
"""

import errno
import logging
import socket
import time
from collections.abc import Callable
from typing import Final

from supervisor.host.loop import Loop
from supervisor.relay.admin.counters import Counters
from supervisor.relay.config.records import Settings
from supervisor.relay.net.answer import Answer, Envelope
from supervisor.relay.net.audit import MAX_PATH_CHARS, Audit, AuditLine
from supervisor.relay.net.connection import Caller, Connection, Exchange
from supervisor.relay.net.request import Request

logger = logging.getLogger(__name__)

_NO_DESCRIPTOR_PAUSE_SECS: Final = 1.0
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# Asked for every few seconds by whoever watches the relay; they would drown the rest of the audit log.
_UNAUDITED: Final = ("/ping", "/agentprobes")


class Http:
    """Limits, envelope and records, shared by all listeners; `use` swaps the settings at a reload."""

    def __init__(self, loop: Loop, audit: Audit, counters: Counters, settings: Settings) -> None:
        self.loop = loop
        self.listeners: set[Listener] = set()
        self._audit = audit
        self._counters = counters
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Apply the limits and the envelope of `settings` to requests from now on."""
        self.envelope = Envelope(settings.server_name, settings.api_versions[0])
        self.max_header_bytes = settings.max_header_bytes
        self.max_body_bytes = settings.max_body_bytes
        self.request_timeout_secs = settings.request_timeout_secs
        self._versions = frozenset(settings.api_versions)
        self._audit_body = settings.audit_body

    def knows_version(self, version: str) -> bool:
        """Return whether `version` is one of the configured API versions."""
        return version in self._versions

    def version_of(self, request: Request | None) -> str:
        """Return the API version to answer with; the default one when the request names none that is known."""
        given = request.values("x-api-version") if request is not None else []
        return given[0] if len(given) == 1 and given[0] in self._versions else self.envelope.default_version

    def record(self, exchange: Exchange, answer: Answer, elapsed_ms: int, bytes_in: int, bytes_out: int) -> None:
        """Count the answer and write it to the audit log."""
        self._counters.requests[exchange.client, answer.status] += 1
        request = exchange.request
        target = request.target if request is not None else ""
        if target.partition("?")[0] in _UNAUDITED:
            return
        peer = exchange.caller.peer
        self._audit.add(
            time.time_ns() // 1_000_000,
            AuditLine(
                client=exchange.client,
                request_id=exchange.request_id,
                method=request.method if request is not None else "",
                path=target[:MAX_PATH_CHARS],
                status=answer.status,
                code=answer.code,
                latency_ms=elapsed_ms,
                bytes_in=bytes_in,
                bytes_out=bytes_out,
                pid=peer.pid if peer else None,
                uid=peer.uid if peer else None,
                gid=peer.gid if peer else None,
                duplicate=exchange.duplicate,
                body=request.body.decode("utf-8", "replace") if self._audit_body and request is not None else None,
            ),
        )

    def sweep(self) -> None:
        """Drop the connections whose time is over, and come again."""
        now = time.monotonic()
        for listener in list(self.listeners):
            for connection in list(listener.connections):
                if connection.deadline is not None and connection.deadline <= now:
                    connection.close()
        self.loop.after(max(0.05, min(1.0, self.request_timeout_secs / 4)), self.sweep)


def _nothing() -> None:
    """Do nothing: a listener that nobody closes has nobody to tell."""


class Listener:
    """A bound socket, its connections, and who decides about its peers and requests.

    Args:
        http: what all listeners share.
        sock: listening, non-blocking; owned from now on.
        admit: the verdict about a peer, taken once per connection at accept.
        serve: answers one request, now or later.
        max_connections: at this number the socket is not polled; None for no limit.
    """

    def __init__(
        self,
        http: Http,
        sock: socket.socket,
        admit: Callable[[socket.socket], Caller],
        serve: Callable[[Exchange], None],
        max_connections: int | None = None,
    ) -> None:
        self.http = http
        self.connections: set[Connection] = set()
        self.serve = serve
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

    def closed(self, connection: Connection) -> None:
        """Take note that a connection has gone."""
        self.connections.discard(connection)
        if self._open:
            self._poll()
        else:
            self._end_if_drained()

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

    def _end_if_drained(self) -> None:
        if not self.connections and self in self.http.listeners:
            self.http.listeners.discard(self)
            self.http.loop.soon(self._on_drained)

    def _poll(self) -> None:
        if self._open and not self._polled and not self._is_full():
            self._polled = True
            self.http.loop.watch(self._sock.fileno(), self._accept)

    def _unpoll(self) -> None:
        if self._polled:
            self._polled = False
            self.http.loop.unwatch(self._sock.fileno())

    def _is_full(self) -> bool:
        return self._max_connections is not None and len(self.connections) >= self._max_connections

    def _accept(self) -> None:
        if self._is_full():
            self._unpoll()
            return
        try:
            sock, _ = self._sock.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _EXHAUSTED:
                logger.warning("cannot accept a connection: %s; trying again", error.strerror)
                self._unpoll()
                self.http.loop.after(_NO_DESCRIPTOR_PAUSE_SECS, self._poll)
            return
        sock.setblocking(False)
        try:
            caller = self._admit(sock)
        except OSError:
            sock.close()
            return
        connection = Connection(sock, self, caller)
        self.connections.add(connection)
        connection.start()
