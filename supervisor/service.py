"""The daemon: engine, HTTP, relay and service manager, built once, in order, and taken down in reverse.

Source: docs/operating.md, "Start".
"""

import errno
import logging
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import Final

import setproctitle
from msgspec.structs import replace as replace_field

from common.clock import SystemClock
from common.errors import StartupError, os_error_text
from common.logs import LineWriter, fields
from common.scheduling import SHORT_SLICE_NS, ask_for_slices
from common.states import State
from supervisor.engine import Engine
from supervisor.engine.control_plane import LaunchError
from supervisor.engine.engine import GRACE_SECS
from supervisor.engine.figures import Figures
from supervisor.engine.keeping import interrupted_bodies
from supervisor.host.activation import inherited_listener
from supervisor.host.limits import raise_descriptor_limit
from supervisor.host.loop import Loop
from supervisor.host.sdnotify import ServiceManager
from supervisor.http.app import build_app
from supervisor.http.server import HttpServer
from supervisor.intake.autostart import CONTINUING, NOT_CONFIGURED, Readiness, Sweep, find_candidates, reread
from supervisor.intake.continuing import Continuing
from supervisor.intake.intake import Intake
from supervisor.journal.directory import StateDirectory
from supervisor.relay_link.attached import AttachedRelay
from supervisor.relay_link.child import RelayChild
from supervisor.relay_link.client import RelayClient
from supervisor.settings import Settings

logger = logging.getLogger(__name__)

_REAP_SECS: Final = 0.5
_BOUNDARY_SECS: Final = 1.0
"""How long the sweep may take to finish its file, before workers are stopped under it."""

_END_SECS: Final = 5.8
_HTTP_SECS: Final = 0.3
_LAST_LINES_SECS: Final = 1.0
_STATUS_SECS: Final = 5.0
_ANNOUNCE_SECS: Final = 10.0
"""How long the announcement waits for the first worker."""

_BACKLOG: Final = 1024
_OBSERVE_THREADS: Final = 4


class Service:
    """The running control plane.

    Args:
        settings: how it runs.
        logs: where the last lines go before the process ends.
        relay_admin_path: the admin socket of the relay that `settings` ask for.

    Raises:
        StartupError: the address cannot be had, or the catalog.
    """

    def __init__(self, settings: Settings, logs: LineWriter, relay_admin_path: str | None = None) -> None:
        self._settings = settings
        self._logs = logs
        self._stop_asked_at: float | None = None
        self._is_sweeping = False
        self._is_announced = False
        self._has_workers = True
        self._workers_are_stopping = False
        self._loop = Loop()
        # Signals wait in the loop until it runs, so from here on every one of them is a clean exit.
        self._loop.catch_signals(self._on_signal)
        self._loop.catch_signals(self._on_hangup, (signal.SIGHUP,))
        raise_descriptor_limit()
        with suppress(OSError):
            # For the threads that answer, too.
            ask_for_slices(SHORT_SLICE_NS)
        inherited = inherited_listener(os.environ)
        if inherited is not None:
            host, port = inherited.getsockname()[:2]
            settings = replace(settings, host=host, port=port)
        _log_access(settings)
        candidates = find_candidates(settings)
        if not settings.max_scenarios:
            logger.info("--max-scenarios 0 — scenario row cap disabled (unlimited)")
        self._listener = inherited or _listen(settings.host, settings.port)
        self._address = _address_text(self._listener)
        # Hides an API key that was given as an argument.
        setproctitle.setproctitle(f"sondad: serve {self._address}")
        self._manager = ServiceManager(os.environ)
        state = None if settings.state_dir is None else StateDirectory(settings.state_dir, forgets=settings.fresh)
        self._journal = None if state is None else state.journal
        runs = () if state is None else state.runs
        self._engine = Engine(
            loop=self._loop,
            capacity=settings.max_scenarios,
            wakeups_per_core=settings.wakeups_per_core,
            max_slack_ns=settings.max_slack_ms * 1_000_000,
            starting_limit=settings.workers,
            worker_memory_bytes=settings.worker_memory_bytes,
            sharing=settings.sharing,
            state=state,
            on_first_ready=self._announce,
        )
        # It imports what workers need while the rest is built here; should it fail, the loop tries again.
        with suppress(LaunchError):
            self._engine.warm_up()
        self._sweep: Sweep | None = None
        if candidates is not None:
            intake = Intake(self._engine, settings, SystemClock())
            continued = frozenset(run.origin for run in runs)
            self._sweep = Sweep(candidates, intake, lambda: self._loop.post(self._sweep_has_ended), continued)
        bodies = interrupted_bodies(runs, settings.on_restart)
        self._continuing = Continuing(bodies, self._engine.resume, lambda: self._loop.post(self._start_sweep))
        self._relay: AttachedRelay | None = None
        if settings.relay_config is not None:
            self._relay = AttachedRelay(
                self._loop, RelayChild(settings.relay_config, log_as_json=settings.log_as_json), self._stop_when_alone
            )
        relay = None if relay_admin_path is None else RelayClient(relay_admin_path)
        api = build_app(
            self._engine,
            settings,
            readiness=self._readiness,
            figures=self._figures,
            overloaded=self._engine.overloaded,
            relay=relay,
        )
        self._server = HttpServer(
            api.wsgi,
            self._listener,
            api.admission,
            control_threads=settings.max_inflight_requests,
            observe_threads=_OBSERVE_THREADS,
            max_body_bytes=settings.max_body_bytes,
        )

    def run(self) -> None:
        """Announce the port, serve until SIGINT or SIGTERM, and leave nothing behind."""
        self._server.start()
        self._loop.after(_ANNOUNCE_SECS, self._announce_late)
        if self._relay is not None:
            self._relay.start()
        self._continuing.start()
        # Should this raise, the workers are left alone: they see our end, deliver what they have, and exit.
        self._engine.run()
        self._loop.refuse_posts()
        self._server.close(_HTTP_SECS)
        self._continuing.join(_HTTP_SECS)
        if self._sweep is not None and self._is_sweeping:
            self._sweep.join(_HTTP_SECS)
        self._log_scenarios()
        logger.info("sonda-server shut down cleanly")
        self._engine.close()
        if self._journal is not None:
            self._journal.close()

    def last_lines_secs(self) -> float:
        """Return how long the log may take to be written before the process ends."""
        since_signal = 0.0 if self._stop_asked_at is None else time.monotonic() - self._stop_asked_at
        return min(max(_END_SECS - since_signal, 0.1), _LAST_LINES_SECS)

    def _readiness(self) -> Readiness:
        if self._sweep is not None:
            readiness = self._sweep.readiness()
        else:
            readiness = CONTINUING if self._continuing.is_underway else NOT_CONFIGURED
        return replace_field(readiness, status="unresponsive") if self._engine.silent_secs() else readiness

    def _figures(self) -> Figures:
        return replace(self._engine.figures(), log_lines_dropped=self._logs.dropped_total)

    def _on_signal(self) -> None:
        if self._stop_asked_at is not None:
            self._stop_workers()
            self._engine.kill_all()
            if self._relay is not None:
                self._relay.stop(0)
            return
        self._stop_asked_at = time.monotonic()
        logger.info("shutdown signal received — stopping all running scenarios")
        self._manager.stopping()
        self._server.stop_accepting()
        self._continuing.cancel()
        if self._relay is not None:
            self._relay.stop(GRACE_SECS)
        self._loop.after(GRACE_SECS + _REAP_SECS, self._loop.stop)
        if self._sweep is not None and self._is_sweeping:
            self._sweep.cancel()
            self._loop.after(_BOUNDARY_SECS, self._stop_workers)
        else:
            self._stop_workers()

    def _on_hangup(self) -> None:
        """Reload for a service manager, which asks so; otherwise the terminal is gone, and that may come twice."""
        if self._manager.is_there:
            self._manager.reloading(time.monotonic_ns())
            reread(self._settings.catalog)
            self._manager.ready()
        elif self._stop_asked_at is None:
            self._on_signal()

    def _start_sweep(self) -> None:
        if self._sweep is not None and self._stop_asked_at is None:
            self._sweep.start()
            self._is_sweeping = True

    def _sweep_has_ended(self) -> None:
        self._is_sweeping = False
        self._stop_workers()

    def _stop_workers(self) -> None:
        if self._stop_asked_at is None or self._workers_are_stopping:
            return
        self._workers_are_stopping = True
        self._engine.shut_down(self._stop_asked_at + GRACE_SECS - time.monotonic(), self._workers_have_gone)

    def _workers_have_gone(self) -> None:
        self._has_workers = False
        self._stop_when_alone()

    def _stop_when_alone(self) -> None:
        if not self._has_workers and not (self._relay is not None and self._relay.running):
            self._loop.stop()

    def _tell_status(self) -> None:
        running = sum(scenario.counters().state != State.FINISHED for scenario in self._engine.scenarios())
        self._manager.status(f"listening on {self._address}; scenarios running: {running}")

    def _announce_late(self) -> None:
        if not self._is_announced and self._stop_asked_at is None:
            logger.warning("no worker is ready yet: the first scenarios may have to wait")
        self._announce()

    def _announce(self) -> None:
        """Say that the daemon serves, once: when the first worker waits for a plan; not while it stops."""
        if self._is_announced or self._stop_asked_at is not None:
            return
        self._is_announced = True
        self._manager.ready()
        if self._manager.watchdog_period_secs is not None:
            self._loop.every(self._manager.watchdog_period_secs, self._manager.alive)
        if self._manager.is_there:
            self._loop.every(_STATUS_SECS, self._tell_status)
        port = self._listener.getsockname()[1]
        try:
            os.write(1, b'{"sonda_server":{"port":%d}}\n' % port)
        except BrokenPipeError:
            self._engine.discard_stdout()
        except OSError as exc:
            logger.warning("cannot announce the port on stdout: %s", os_error_text(exc))
        logger.info("sonda-server listening", extra=fields(addr=self._address, workers=self._settings.workers))

    def _log_scenarios(self) -> None:
        for scenario in self._engine.scenarios():
            what = {"scenario": scenario.entry.plan.name, "total_events": scenario.counters().total_events}
            if scenario.exit_reason is None:
                logger.info("scenario task joined", extra=fields(**what))
            else:
                logger.warning("scenario task join failed", extra=fields(**what, error=scenario.exit_reason))


def _log_access(settings: Settings) -> None:
    if settings.api_key_is_empty:
        logger.warning("--api-key / SONDA_API_KEY is empty — authentication disabled")
    if settings.api_key is None:
        logger.info("API key authentication disabled — all endpoints are public")
    else:
        logger.info(
            "API key authentication enabled for /scenarios/*, /events, /metrics, and /scenarios/metrics endpoints"
        )
    if settings.is_open_to_others:
        logger.warning(
            "--bind %s without an API key: anybody who can reach this address can start scenarios", settings.host
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        remedy = "; pick another --port" if exc.errno in (errno.EADDRINUSE, errno.EACCES) else "; check --bind"
        raise StartupError(f"cannot listen on {host} port {port}: {os_error_text(exc)}{remedy}") from exc
    return listener


def _address_text(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
