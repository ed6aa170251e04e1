"""Wiring: builds every object of the control plane once, in order, and takes it down in reverse.

Source: docs/operating.md, "Start".
"""

import errno
import logging
import os
import resource
import socket
import time
from concurrent.futures import Future
from functools import partial
from typing import Final

import setproctitle

from common.board import Board
from common.clock import SystemClock
from common.errors import StartupError, os_error_text
from common.logs import LineWriter, fields
from common.plan import EntryPlan, Plan
from supervisor.engine.control_plane import CallTimeoutError, LaunchError, Scenario, StopResult
from supervisor.engine.figures import read_figures
from supervisor.engine.fleet import Fleet
from supervisor.engine.pool import Pool
from supervisor.engine.scenarios import ScenarioMap
from supervisor.engine.spawn import Door
from supervisor.engine.wakeups import WakeupBudget
from supervisor.host.loop import Callback, Loop
from supervisor.host.sdnotify import ServiceManager
from supervisor.http.app import build_app
from supervisor.http.server import HttpServer
from supervisor.intake.autostart import NOT_CONFIGURED, Sweep, find_candidates
from supervisor.intake.intake import Intake
from supervisor.relay_link.attached import AttachedRelay
from supervisor.relay_link.child import RelayChild
from supervisor.relay_link.client import RelayClient
from supervisor.settings import Settings, usable_cores

logger = logging.getLogger(__name__)

BOARD_ROWS: Final = 8192
GRACE_SECS: Final = 4.5
"""From SIGTERM to the SIGKILL of workers that are still there; the process ends within 6 s."""

_REAP_SECS: Final = 0.5
_BOUNDARY_SECS: Final = 1.0
"""How long the sweep may take to finish its file, before workers are stopped under it."""

_END_SECS: Final = 5.8
_HTTP_SECS: Final = 0.3
_LAST_LINES_SECS: Final = 1.0
_BACKLOG: Final = 1024
_OBSERVE_THREADS: Final = 4


class LoopControlPlane:
    """The control plane as HTTP threads see it; implements `control_plane.ControlPlane`.

    Args:
        loop: of the main thread.
        fleet: asked on the loop only.
        scenarios: read in any thread.
    """

    def __init__(self, loop: Loop, fleet: Fleet, scenarios: ScenarioMap) -> None:
        self._loop = loop
        self._fleet = fleet
        self._scenarios = scenarios

    def scenarios(self) -> list[Scenario]:
        """Return all scenarios not yet deleted, in launch order."""
        return list(self._scenarios.all())

    def scenario(self, scenario_id: str) -> Scenario | None:
        """Return the scenario of that id, or None."""
        return self._scenarios.get(scenario_id)

    def conflicts(self, scenario_name: str | None) -> list[Scenario]:
        """Return who holds the name."""
        return list(self._scenarios.active(scenario_name))

    def is_published(self, scenario_name: str, entry_id: str) -> bool:
        """Return whether gates of other bodies can watch this entry now."""
        return self._scenarios.is_published(scenario_name, entry_id)

    def launch(self, plan: Plan, timeout_secs: float | None) -> list[Scenario]:
        """Start all entries of `plan` or none; see the protocol."""
        slot: Future[list[Scenario]] = Future()
        self._post(partial(self._fleet.launch, plan, slot))
        try:
            return slot.result(timeout_secs)
        except TimeoutError as exc:
            if not slot.cancel():
                return slot.result()
            self._loop.post(partial(self._fleet.abandon, slot))
            raise CallTimeoutError(f"the workers were not ready within {timeout_secs:g} s") from exc

    def stop(self, scenario_id: str, timeout_secs: float) -> StopResult | None:
        """Remove the scenario at once and wait until its worker has gone; see the protocol."""
        slot: Future[StopResult | None] = Future()
        self._post(partial(self._fleet.stop, scenario_id, slot))
        try:
            return slot.result(timeout_secs)
        except TimeoutError as exc:
            raise CallTimeoutError(f"the worker was not gone within {timeout_secs:g} s") from exc

    def deliver(self, entry: EntryPlan, timeout_secs: float) -> int:
        """Deliver the first event of `entry` and wait for the destination's word; see the protocol."""
        slot: Future[int] = Future()
        self._post(partial(self._fleet.deliver, entry, slot))
        try:
            return slot.result(timeout_secs)
        except TimeoutError as exc:
            if not slot.cancel():
                return slot.result()
            self._loop.post(partial(self._fleet.break_off, slot))
            raise CallTimeoutError(f"the event was not delivered within {timeout_secs:g} s") from exc

    def _post(self, call: Callback) -> None:
        if not self._loop.post(call):
            raise LaunchError("the daemon is shutting down")


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
        self._has_workers = True
        self._workers_are_stopping = False
        self._loop = Loop()
        # Signals wait in the loop until it runs, so from here on every one of them is a clean exit.
        self._loop.catch_signals(self._on_signal)
        _raise_descriptor_limit()
        _log_access(settings)
        candidates = find_candidates(settings)
        if not settings.max_scenarios:
            logger.warning("--max-scenarios 0 — scenario row cap disabled (unlimited)")
        self._listener = _listen(settings.host, settings.port)
        self._address = _address_text(self._listener)
        # Hides an API key that was given as an argument.
        setproctitle.setproctitle(f"sondad: serve {self._address}")
        self._manager = ServiceManager(os.environ)
        board = Board(BOARD_ROWS)
        door = Door(board.descriptor)
        self._scenarios = ScenarioMap(settings.max_scenarios)
        cores = usable_cores()
        pool = Pool(door.start, rows=board.rows, spares_wanted=max(4, 2 * cores), starting_limit=settings.workers)
        budget = WakeupBudget(settings.wakeups_per_core * cores)
        self._fleet = Fleet(self._loop, board, pool, self._scenarios, budget, self._manager.ready)
        control_plane = LoopControlPlane(self._loop, self._fleet, self._scenarios)
        self._sweep: Sweep | None = None
        if candidates is not None:
            intake = Intake(control_plane, settings, SystemClock())
            self._sweep = Sweep(candidates, intake, lambda: self._loop.post(self._sweep_has_ended))
        self._relay: AttachedRelay | None = None
        if settings.relay_config is not None:
            self._relay = AttachedRelay(self._loop, RelayChild(settings.relay_config), self._stop_when_alone)
        readiness = (lambda: NOT_CONFIGURED) if self._sweep is None else self._sweep.readiness
        figures = partial(read_figures, board, pool, self._fleet.tally, logs)
        relay = None if relay_admin_path is None else RelayClient(relay_admin_path)
        self._server = HttpServer(
            build_app(control_plane, settings, readiness=readiness, figures=figures, relay=relay),
            self._listener,
            control_threads=settings.max_inflight_requests,
            observe_threads=_OBSERVE_THREADS,
            max_body_bytes=settings.max_body_bytes,
        )

    def run(self) -> None:
        """Announce the port, serve until SIGINT or SIGTERM, and leave nothing behind."""
        self._server.start()
        self._announce()
        logger.info("sonda-server listening", extra=fields(addr=self._address, workers=self._settings.workers))
        if self._manager.watchdog_period_secs is not None:
            self._loop.every(self._manager.watchdog_period_secs, self._manager.alive)
        if self._relay is not None:
            self._relay.start()
        if self._sweep is not None:
            self._sweep.start()
            self._is_sweeping = True
        # Should this raise, the workers are left alone: they see our end, deliver what they have, and leave.
        self._loop.run(self._fleet.reconcile)
        self._loop.refuse_posts()
        self._server.close(_HTTP_SECS)
        if self._sweep is not None:
            self._sweep.join(_HTTP_SECS)
        self._log_scenarios()
        logger.info("sonda-server shut down cleanly")
        self._loop.close()

    def last_lines_secs(self) -> float:
        """Return how long the log may take to be written before the process ends."""
        since_signal = 0.0 if self._stop_asked_at is None else time.monotonic() - self._stop_asked_at
        return min(max(_END_SECS - since_signal, 0.1), _LAST_LINES_SECS)

    def _on_signal(self) -> None:
        if self._stop_asked_at is not None:
            self._stop_workers()
            self._fleet.kill_all()
            if self._relay is not None:
                self._relay.stop(0)
            return
        self._stop_asked_at = time.monotonic()
        logger.info("shutdown signal received — stopping all running scenarios")
        self._manager.stopping()
        self._server.stop_accepting()
        if self._relay is not None:
            self._relay.stop(GRACE_SECS)
        self._loop.after(GRACE_SECS + _REAP_SECS, self._loop.stop)
        if self._sweep is not None and self._is_sweeping:
            self._sweep.cancel()
            self._loop.after(_BOUNDARY_SECS, self._stop_workers)
        else:
            self._stop_workers()

    def _sweep_has_ended(self) -> None:
        self._is_sweeping = False
        self._stop_workers()

    def _stop_workers(self) -> None:
        if self._stop_asked_at is None or self._workers_are_stopping:
            return
        self._workers_are_stopping = True
        self._fleet.shut_down(self._stop_asked_at + GRACE_SECS - time.monotonic(), self._workers_have_gone)

    def _workers_have_gone(self) -> None:
        self._has_workers = False
        self._stop_when_alone()

    def _stop_when_alone(self) -> None:
        if not self._has_workers and not (self._relay is not None and self._relay.running):
            self._loop.stop()

    def _announce(self) -> None:
        port = self._listener.getsockname()[1]
        try:
            os.write(1, b'{"sonda_server":{"port":%d}}\n' % port)
        except BrokenPipeError:
            self._fleet.discard_stdout()
        except OSError as exc:
            logger.warning("cannot announce the port on stdout: %s", os_error_text(exc))

    def _log_scenarios(self) -> None:
        for scenario in self._scenarios.all():
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
            "--bind %s without an API key: everybody who reaches this machine may start scenarios", settings.host
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


def _raise_descriptor_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
