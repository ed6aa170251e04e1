"""Wiring of the relay: builds every part in order, reloads, and takes it down again.

Source: docs/relay.md, "Starting and stopping one client" and "As a service".
"""

import copy
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from common.errors import StartupError
from common.logs import LineWriter
from supervisor.host.loop import Loop
from supervisor.host.sdnotify import ServiceManager
from supervisor.relay.admin.counters import RelayCounters
from supervisor.relay.admin.endpoint import AdminEndpoint
from supervisor.relay.admin.exposition import SpoolGauges
from supervisor.relay.admin.snapshot import Snapshot
from supervisor.relay.checks.endpoint import CheckEndpoint
from supervisor.relay.checks.expiry import Expiry
from supervisor.relay.checks.registry import is_known
from supervisor.relay.checks.state import Key, utc_text
from supervisor.relay.clients.notify import NotifySocket
from supervisor.relay.clients.sockets import Clients
from supervisor.relay.clients.states import SocketState
from supervisor.relay.config.addresses import UnixAddress
from supervisor.relay.config.directories import lock_directories
from supervisor.relay.config.reader import client_faults, load
from supervisor.relay.config.records import Config
from supervisor.relay.ledger.changes import DeadLetter
from supervisor.relay.ledger.jobs import DROP_REASONS, Acknowledged, Forgotten
from supervisor.relay.ledger.ledger import Ledger
from supervisor.relay.ledger.store import Store
from supervisor.relay.net.audit import Audit
from supervisor.relay.net.exchange import Caller, RelayExchange
from supervisor.relay.net.http import Http
from supervisor.relay.net.identity import peer_of
from supervisor.relay.net.listener import Listener
from supervisor.relay.net.tcpsock import listen_tcp
from supervisor.relay.net.unixsock import BoundSocket, SocketPathError, listen
from supervisor.relay.reload import Reloader
from supervisor.relay.threads import Threads
from supervisor.relay.upstream.sender import Sender
from supervisor.relay.upstream.spool import SpoolEntry

logger = logging.getLogger(__name__)

_TICK_SECS: Final = 0.5
_STOP_POLL_SECS: Final = 0.02
_ADMIN_CONNECTIONS: Final = 256
_PURE_CONNECTIONS: Final = 4096


class Relay:
    """A running relay. Created in `initializing`; `run` serves until a signal stops it."""

    def __init__(self, config: Config, writer: LineWriter) -> None:
        """Take the locks, recover the store and open every socket.

        Raises:
            LockHeldError: another relay runs in these directories.
            StartupError: a directory, the store or a socket of the relay itself cannot be used.
        """
        settings = config.relay
        self._config = config
        self._started_ms = time.time_ns() // 1_000_000
        self._status = "initializing"
        self._manager = ServiceManager(os.environ)
        lock_directories(settings.run_dir, settings.state_dir)
        store = Store(settings.state_dir)
        self._loop = Loop()
        self._loop.catch_signals(self._on_stop_signal)
        self._counters = RelayCounters()
        self._reloader = Reloader(self._loop, self._read_config, self._apply, self._count_reload)
        self._loop.catch_signals(self._reloader.request, (signal.SIGHUP,))
        self._audit = Audit(self._loop, writer)
        self._http = Http(self._loop, self._audit, self._counters, settings)
        self._threads = Threads(self._loop, "request", settings.threads)
        self._ledger = Ledger(store, self._loop, config)
        self._sender = Sender(config, self._loop, self._ledger, self._counters)
        self._expiry = Expiry(config, self._ledger)
        self._checks = CheckEndpoint(config, self._http, self._ledger, self._counters, self._threads)
        self._clients = Clients(config, self._http, self._counters, self._checks.serve)
        self._bound: list[BoundSocket] = []
        self._listeners: list[Listener] = []
        self._stopping = False
        self._open_admin(config)
        self._notify: NotifySocket | None = None
        if settings.mode == "clients":
            notify = self._bind(settings.notify.path, settings.notify.mode)
            self._notify = NotifySocket(notify, settings.notify, self._loop, self._counters, self._clients.command)
            self._clients.start()
        else:
            self._open_pure(config)
        self._ledger.on_committed = self._committed
        self._forget_unknown()

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT and return the exit code."""
        # Threads that commit or send ask for the interpreter when they are done: the default of 5 ms would be latency.
        sys.setswitchinterval(0.0005)
        # PERF: a full collection walks the index of the whole spool, a tenth of a second for 100 000 entries.
        gc.freeze()
        gc.set_threshold(10_000, 50, 100)
        self._http.sweep()
        self._sender.pump()
        self._loop.after(_TICK_SECS, self._tick)
        self._loop.after(self._config.relay.reconcile_secs, self._reconcile)
        if self._manager.watchdog_period_secs is not None:
            self._feed_watchdog(self._manager.watchdog_period_secs)
        self._status = "OK"
        self._manager.ready()
        logger.info("relay %s ready, health %s", self._config.relay.id, self._health())
        self._loop.run()
        self._ledger.close()
        self._audit.flush()
        logger.info("relay stopped")
        return 0

    def ping(self) -> dict[str, Any]:
        """Return the answer to `GET /ping`."""
        return {"ping": "pong", "status": self._health(), "pid": os.getpid()}

    def problems(self) -> list[str]:
        """Return why the relay is degraded; empty when it is not."""
        problems = self._clients.problems()
        if self._ledger.fault is not None:
            problems.append(f"store: {self._ledger.fault}")
        if self._ledger.doubt is not None:
            problems.append(f"store: {self._ledger.doubt}; POST /state?action=ack")
        return problems + self._sender.problems()

    def describe(self) -> dict[str, Any]:
        """Return the answer to `GET /state`."""
        config = self._config
        gauges = self.gauges()
        return {
            "relay": {
                "id": config.relay.id,
                "mode": config.relay.mode,
                "started_at": utc_text(self._started_ms),
                "config_hash": config.sha256,
            },
            "clients": self._clients.describe(self._listening()),
            "spool": {
                "entries": gauges.entries,
                "bytes": gauges.size_bytes,
                "oldest_age_secs": round(gauges.oldest_age_secs, 3),
                "dead_letters": gauges.dead_letters,
                "dropped": {reason: gauges.dropped.get(reason, 0) for reason in DROP_REASONS},
            },
            "upstream": self._sender.describe(),
        }

    def snapshot(self) -> Snapshot:
        """Return a copy of all check states."""
        return Snapshot(
            config=self._config,
            states=dict(self._ledger.states),
            acked=dict(self._ledger.acked),
            pending=self._ledger.spool.counts(),
            listening=self._listening(),
        )

    def counters(self) -> RelayCounters:
        """Return a copy of the counters."""
        return copy.deepcopy(self._counters)

    def gauges(self) -> SpoolGauges:
        """Return the figures of spool and upstream."""
        spool = self._ledger.spool
        oldest = spool.oldest_of_all()
        return SpoolGauges(
            entries=len(spool),
            size_bytes=spool.size_bytes,
            oldest_age_secs=max(0.0, time.time() - oldest.at_ms / 1000) if oldest else 0.0,
            dropped=dict(self._ledger.dropped),
            dead_letters=self._ledger.dead_count,
            upstream_up=self._sender.is_up(),
            problems=len(self.problems()),
        )

    def history(self, key: Key) -> list[dict[str, Any]]:
        """Return the transitions of a check, oldest first."""
        return self._ledger.history(key)

    def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters, oldest first."""
        return self._ledger.dead_letters()

    def act(self, action: str) -> None:
        """Carry out `reconcile`, `flush` or `ack`."""
        if action == "reconcile":
            self._clients.reconcile()
        elif action == "flush":
            self._sender.flush()
        else:
            self._ledger.forget_doubt()
            self._ledger.submit(Acknowledged(), lambda _: None)

    def reload(self, done: Callable[[str | None], object]) -> None:
        """Read the configuration again; `done` is called with what is wrong with it."""
        self._reloader.request(done)

    def set_log_level(self, level: str) -> None:
        """Change the log level until the next reload."""
        logging.getLogger().setLevel(level.upper())
        logger.info("log level set to %s", level)

    def _health(self) -> str:
        if self._status != "OK":
            return self._status
        return "degraded" if self.problems() else "OK"

    def _listening(self) -> frozenset[str]:
        if self._config.relay.mode == "pure":
            return frozenset(() if self._stopping else self._config.clients)
        return frozenset(name for name, item in self._clients.sockets.items() if item.state is SocketState.LISTENING)

    def _bind(self, path: str, mode: int) -> BoundSocket:
        try:
            bound = listen(path, mode)
        except SocketPathError as exc:
            raise StartupError(str(exc)) from exc
        self._bound.append(bound)
        return bound

    def _open_admin(self, config: Config) -> None:
        settings = config.relay
        endpoint = AdminEndpoint(self, self._http, self._threads, read_only=False)
        bound = self._bind(settings.admin.path, settings.admin.mode)
        self._listen(bound.sock, self._admit_admin, endpoint.serve, _ADMIN_CONNECTIONS)
        if settings.admin.tcp is not None:
            reader = AdminEndpoint(self, self._http, self._threads, read_only=True)
            self._listen(listen_tcp(settings.admin.tcp), _admit_anyone, reader.serve, _ADMIN_CONNECTIONS)

    def _open_pure(self, config: Config) -> None:
        address = config.relay.pure.listen
        if isinstance(address, UnixAddress):
            sock = self._bind(address.path, address.mode).sock
            logger.info("listening on %s", address.path)
        else:
            sock = listen_tcp(address)
            logger.info("listening on %s port %d", *sock.getsockname()[:2])
        self._listen(sock, _admit_anyone, self._checks.serve, _PURE_CONNECTIONS, for_clients=True)

    def _listen(
        self,
        sock: socket.socket,
        admit: Callable[[socket.socket], Caller],
        serve: Callable[[RelayExchange], None],
        max_connections: int,
        *,
        for_clients: bool = False,
    ) -> None:
        self._listeners.append(Listener(self._http, sock, admit, serve, max_connections, for_clients=for_clients))

    def _admit_admin(self, sock: socket.socket) -> Caller:
        peer = peer_of(sock)
        if peer.uid in self._config.relay.admin.allow_uids:
            return Caller("", peer)
        self._counters.denied["", "admin_uid"] += 1
        logger.warning("denied a peer on the admin socket (pid %d, uid %d, gid %d)", peer.pid, peer.uid, peer.gid)
        return Caller("", peer, "admin_uid")

    def _committed(self, spooled: list[SpoolEntry], updated: list[Key]) -> None:
        self._expiry.updated(updated)
        if spooled and self._sender.forwarder is not None:
            self._sender.forwarder.track(entry.key for entry in spooled)
            self._sender.pump()

    def _tick(self) -> None:
        self._loop.after(_TICK_SECS, self._tick)
        self._expiry.tick()
        self._ledger.probe()

    def _reconcile(self) -> None:
        self._loop.after(self._config.relay.reconcile_secs, self._reconcile)
        self._clients.reconcile()

    def _feed_watchdog(self, period_secs: float) -> None:
        self._manager.alive()
        self._loop.after(period_secs, lambda: self._feed_watchdog(period_secs))

    def _read_config(self) -> Config:
        return load(self._config.path, self._config.relay)

    def _apply(self, config: Config) -> Iterator[None]:
        log_faults(config)
        self._config = config
        self._http.use(config.relay)
        self._ledger.reconfigure(config)
        self._checks.use(config)
        self._sender.reconfigure(config)
        logging.getLogger().setLevel(config.relay.log_level.upper())
        yield
        if config.relay.mode == "clients":
            yield from self._clients.apply(config)
        self._expiry.use(config)
        self._forget_unknown()
        self._counters.forget_clients(config.clients)

    def _count_reload(self, result: str) -> None:
        self._counters.reloads[result] += 1

    def _forget_unknown(self) -> None:
        """Drop the state of checks that the configuration knows no more; their spool entries are still forwarded."""
        unknown = [key for key, state in self._ledger.states.items() if not is_known(self._config, key, state)]
        if unknown:
            self._checks.forget(unknown)
            self._expiry.forget(unknown)
            self._ledger.submit(Forgotten(tuple(unknown)), lambda _: None)

    def _on_stop_signal(self) -> None:
        if self._stopping:
            logger.warning("second signal, exiting at once")
            os._exit(1)
        self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._status = "stopping"
        self._manager.stopping()
        logger.info("relay stopping")
        self._reloader.stop()
        self._sender.stop()
        self._clients.stop()
        if self._notify is not None:
            self._notify.close()
        for bound in self._bound:
            bound.unlink()
        for listener in self._listeners:
            listener.close(lambda: None)
        self._await_end(time.monotonic() + self._config.relay.drain_timeout_secs)

    def _await_end(self, deadline: float) -> None:
        late = time.monotonic() >= deadline
        drained = self._clients.is_stopped() and not any(listener.connections for listener in self._listeners)
        if (drained and self._sender.is_idle() and self._ledger.is_idle()) or late:
            self._loop.stop()
        else:
            self._loop.after(_STOP_POLL_SECS, lambda: self._await_end(deadline))


def log_faults(config: Config) -> None:
    """Log what is wrong with single clients; the others are served."""
    for warning in config.warnings:
        logger.warning("%s: %s", config.path, warning)
    for fault in client_faults(config):
        logger.error("%s", fault)


def _admit_anyone(_sock: socket.socket) -> Caller:
    return Caller()
