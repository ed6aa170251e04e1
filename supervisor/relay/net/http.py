"""What all listeners of the relay share: limits, envelope, counters, audit log.

Source: docs/relay.md, "Reports" and "As a service".
"""

import resource
import time
from typing import Final, Protocol

from supervisor.host.loop import Loop
from supervisor.relay.admin.counters import RelayCounters
from supervisor.relay.config.records import RelaySettings
from supervisor.relay.net.answer import AnswerWriter, RelayAnswer
from supervisor.relay.net.audit import MAX_PATH_CHARS, Audit, AuditLine
from supervisor.relay.net.exchange import RelayExchange
from supervisor.relay.net.request import RelayRequest

# Asked for every few seconds by monitoring; they would drown the rest of the audit log.
_UNAUDITED: Final = ("/ping", "/agentprobes")


# For the store, for requests to the parent, for looks at processes; and the admin socket answers when all others wait.
_KEPT_DESCRIPTORS: Final = 128
_MIN_CONNECTIONS: Final = 16
_MAX_STRANGERS: Final = 64


class Stranger(Protocol):
    """A connection of a peer that was denied."""

    def close(self) -> None:
        """Drop it."""
        ...


class Swept(Protocol):
    """A listener whose connections have deadlines."""

    def sweep(self, now: float) -> None:
        """Drop the connections whose time is over at the monotonic time `now`."""
        ...


class Http:
    """Limits, envelope and records, shared by all listeners; `use` swaps the settings at a reload."""

    def __init__(self, loop: Loop, audit: Audit, counters: RelayCounters, settings: RelaySettings) -> None:
        self.loop = loop
        self.listeners: set[Swept] = set()
        self.open_connections = 0
        self._strangers: dict[Stranger, None] = {}
        self._max_descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._audit = audit
        self._counters = counters
        self.use(settings)

    def use(self, settings: RelaySettings) -> None:
        """Apply the limits and the envelope of `settings` to requests from now on."""
        self.envelope = AnswerWriter(settings.server_name, settings.api_versions[0])
        self.max_header_bytes = settings.max_header_bytes
        self.max_body_bytes = settings.max_body_bytes
        self.request_timeout_secs = settings.request_timeout_secs
        self._versions = frozenset(settings.api_versions)
        self._audit_body = settings.audit_body

    def has_descriptors(self) -> bool:
        """Return whether clients may have one more connection, so that something is left for the relay itself."""
        free = self._max_descriptors - len(self.listeners) - _KEPT_DESCRIPTORS
        return self.open_connections < max(free, _MIN_CONNECTIONS)

    def add_stranger(self, connection: Stranger) -> None:
        """Hold the connection of a denied peer until it has its answer; the oldest of too many goes without."""
        if len(self._strangers) >= _MAX_STRANGERS:
            next(iter(self._strangers)).close()
        self._strangers[connection] = None

    def forget_stranger(self, connection: Stranger) -> None:
        """Take note that it is gone."""
        self._strangers.pop(connection, None)

    def knows_version(self, version: str) -> bool:
        """Return whether `version` is one of the configured API versions."""
        return version in self._versions

    def version_of(self, request: RelayRequest | None) -> str:
        """Return the API version to answer with; the default one when the request names none that is known."""
        given = request.values("x-api-version") if request is not None else []
        return given[0] if len(given) == 1 and given[0] in self._versions else self.envelope.default_version

    def record(
        self, exchange: RelayExchange, answer: RelayAnswer, elapsed_ms: int, bytes_in: int, bytes_out: int
    ) -> None:
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
            listener.sweep(now)
        self.loop.after(max(0.05, min(1.0, self.request_timeout_secs / 4)), self.sweep)
