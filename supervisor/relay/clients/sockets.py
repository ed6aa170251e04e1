"""The life of the client sockets: created, stopped, swapped at a reload, healed when their file is gone.

Source: docs/relay.md, "Starting and stopping one client".
"""

import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

from supervisor.host.loop import Timer
from supervisor.relay.admin.counters import RelayCounters
from supervisor.relay.clients.states import SocketState, check_socket_transition
from supervisor.relay.config.records import Client, Config
from supervisor.relay.net.exchange import Caller, RelayExchange
from supervisor.relay.net.http import Http
from supervisor.relay.net.identity import mismatch, peer_of
from supervisor.relay.net.listener import Listener
from supervisor.relay.net.unixsock import BoundSocket, SocketPathError, listen

logger = logging.getLogger(__name__)

_UNCHANGED: Final = -1


def access(client: Client) -> tuple[int, int, int]:
    """Return (mode, uid, gid) of the socket file; -1 leaves the owner unchanged."""
    uid, gid = client.owner_uid, client.owner_gid
    mode = client.mode
    if client.identity.uid is not None:
        uid = client.identity.uid if uid is None else uid
        mode = 0o600 if mode is None else mode
    elif client.identity.gid is not None:
        gid = client.identity.gid if gid is None else gid
        mode = 0o660 if mode is None else mode
    return (
        0o666 if mode is None else mode,
        _UNCHANGED if uid is None else uid,
        _UNCHANGED if gid is None else gid,
    )


class ClientSocket:
    """The socket of one client. All methods are for the main thread, so starts and stops never cross."""

    def __init__(
        self, client: Client, http: Http, counters: RelayCounters, serve: Callable[[RelayExchange], None]
    ) -> None:
        self.client = client
        self.state = SocketState.STOPPED
        self.fault: str | None = None
        self._http = http
        self._counters = counters
        self._serve = serve
        self._bound: BoundSocket | None = None
        self._listener: Listener | None = None
        self._drain_timer: Timer | None = None
        self._start_again = False

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._listener.connections) if self._listener is not None else 0

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is open any more."""
        return self.state in (SocketState.STOPPED, SocketState.ERROR)

    def start(self) -> None:
        """Listen; the outcome is `state` and `fault`. While stopping, listen again as soon as that is complete."""
        if self.state is SocketState.STOPPING:
            self._start_again = True
            return
        if self._bound is not None and self._bound.owns_path():
            return
        self._abandon()
        if self.client.fault is not None:
            self._fail(self.client.fault)
            return
        try:
            self._bound = listen(self.client.socket, *access(self.client))
        except SocketPathError as exc:
            self._fail(str(exc))
            return
        self._listener = Listener(self._http, self._bound.sock, self._admit, self._serve, self.client.max_connections)
        self._become(SocketState.LISTENING)
        logger.info("client %s listens on %s", self.client.name, self.client.socket)

    def stop(self, drain_timeout_secs: float) -> None:
        """Stop listening; requests in flight get `drain_timeout_secs`."""
        self._start_again = False
        if self.state is SocketState.ERROR:
            self._become(SocketState.STOPPED)
        if self.state is not SocketState.LISTENING:
            return
        self._become(SocketState.STOPPING)
        if self._bound is None or self._listener is None:  # released for an heir
            self._drained()
            return
        self._bound.unlink()
        self._bound = None
        self._drain_timer = self._http.loop.after(drain_timeout_secs, self._listener.abort)
        self._listener.close(self._drained)

    def reconcile(self) -> None:
        """Create a lost socket again and retry what failed."""
        if self.state is SocketState.ERROR or (
            self.state is SocketState.LISTENING and not (self._bound and self._bound.owns_path())
        ):
            self.start()
        elif self.state is SocketState.LISTENING and self.fault is not None and self._bound is not None:
            self._set_access(self._bound)

    def apply(self, client: Client) -> None:
        """Take over a changed configuration, with the socket left open where possible."""
        old, self.client = self.client, client
        if self.state is SocketState.ERROR:
            self.start()
        if self.state is not SocketState.LISTENING:
            return
        if client.fault is not None or client.socket != old.socket:
            lost, lost_listener = self._bound, self._listener
            self._bound = self._listener = None
            self.start()
            _give_up(lost, lost_listener)
            return
        if self._bound is None or self._listener is None:
            return
        self._listener.limit(client.max_connections)
        if access(client) != access(old):
            self._set_access(self._bound)

    def release(self) -> None:
        """Give up the path at once, since another client is to have it; the next `apply` listens elsewhere."""
        _give_up(self._bound, self._listener)
        self._bound = self._listener = None

    def _admit(self, sock: socket.socket) -> Caller:
        peer = peer_of(sock)
        reason = mismatch(sock, peer, self.client.identity)
        if reason is not None:
            self._counters.denied[self.client.name, reason] += 1
            logger.warning(
                "denied a peer on the socket of %s: %s (pid %d, uid %d, gid %d)",
                self.client.name,
                reason,
                peer.pid,
                peer.uid,
                peer.gid,
            )
        return Caller(self.client.name, peer, reason)

    def _set_access(self, bound: BoundSocket) -> None:
        """Change mode and owner in place; a socket whose file cannot be changed goes on as it is, with a fault."""
        try:
            bound.set_access(*access(self.client))
        except SocketPathError as exc:
            if self.fault != str(exc):
                logger.error("client %s: %s", self.client.name, exc)  # noqa: TRY400 - the message is the whole story
            self.fault = str(exc)
        else:
            self.fault = None

    def _become(self, state: SocketState, fault: str | None = None) -> None:
        check_socket_transition(self.state, state)
        self.state, self.fault = state, fault

    def _fail(self, text: str) -> None:
        if self.fault != text:
            logger.error("client %s cannot listen: %s", self.client.name, text)
        self._become(SocketState.ERROR, text)

    def _abandon(self) -> None:
        """Close a listener whose file is gone or foreign."""
        if self._listener is not None:
            self._listener.close(lambda: None)
        self._bound = self._listener = None

    def _drained(self) -> None:
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        self._listener = None
        self._become(SocketState.STOPPED)
        logger.info("client %s stopped listening", self.client.name)
        if self._start_again:
            self._start_again = False
            self.start()


def _give_up(bound: BoundSocket | None, listener: Listener | None) -> None:
    if bound is not None:
        bound.unlink()
    if listener is not None:
        listener.close(lambda: None)


class Clients:
    """All client sockets by name."""

    def __init__(
        self, config: Config, http: Http, counters: RelayCounters, serve: Callable[[RelayExchange], None]
    ) -> None:
        self.sockets: dict[str, ClientSocket] = {}
        self._leaving: set[ClientSocket] = set()
        self._config = config
        self._http = http
        self._counters = counters
        self._serve = serve
        for client in config.clients.values():
            self._add(client)

    def start(self) -> None:
        """Start every client with `autostart`."""
        for item in self.sockets.values():
            if item.client.autostart:
                item.start()

    def apply(self, config: Config) -> Iterator[None]:
        """Apply the difference to a new configuration, a client with each step."""
        self._config = config
        self._leaving = {item for item in self._leaving if not item.is_over}
        for name in set(self.sockets) - set(config.clients):
            leaving = self.sockets.pop(name)
            leaving.stop(config.relay.drain_timeout_secs)
            self._leaving.add(leaving)
            yield
        wanted = {client.socket: client.name for client in config.clients.values()}
        for name, item in self.sockets.items():
            heir = wanted.get(item.client.socket, name)
            if heir != name and config.clients[name].socket != item.client.socket:
                item.release()
        for name, client in config.clients.items():
            known = self.sockets.get(name)
            if known is None:
                added = self._add(client)
                if client.autostart:
                    added.start()
            elif known.client != client or known.state is SocketState.ERROR:
                known.apply(client)
            yield

    def reconcile(self) -> None:
        """Heal every socket."""
        for item in self.sockets.values():
            item.reconcile()

    def command(self, name: str, command: str) -> str:
        """Carry out `start` or `stop` from the notify socket and return the answer line."""
        item = self.sockets.get(name)
        if item is None:
            return "error unknown client"
        if command == "stop":
            item.stop(self._config.relay.drain_timeout_secs)
            return "ok"
        item.start()
        return f"error {item.fault}" if item.state is SocketState.ERROR else "ok"

    def stop(self) -> None:
        """Stop every client."""
        for item in self.sockets.values():
            item.stop(self._config.relay.drain_timeout_secs)

    def is_stopped(self) -> bool:
        """Return whether no socket is listening or draining any more."""
        return all(item.is_over for item in (*self.sockets.values(), *self._leaving))

    def problems(self) -> list[str]:
        """Return why clients that should listen do not."""
        return [f"client {name}: {item.fault}" for name, item in self.sockets.items() if item.fault is not None]

    def describe(self, listening: frozenset[str]) -> dict[str, Any]:
        """Return the `clients` part of `GET /state`; in pure mode all of them share the one socket."""
        pure = self._config.relay.mode == "pure"
        return {
            name: {
                "state": ("listening" if name in listening else "stopped") if pure else item.state.value,
                "socket": None if pure else item.client.socket,
                "kind": item.client.kind,
                "error": item.fault,
                "connections": item.connections,
                "checks": len(item.client.checks),
            }
            for name, item in self.sockets.items()
        }

    def _add(self, client: Client) -> ClientSocket:
        item = ClientSocket(client, self._http, self._counters, self._serve)
        self.sockets[client.name] = item
        return item
