"""GET /daemon: what the whole daemon uses and does, in one place.

Source: docs/http.md, "The daemon itself".
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

import falcon
import msgspec

from common.clock import Clock
from common.states import State
from supervisor.engine.control_plane import ControlPlane
from supervisor.engine.figures import Figures
from supervisor.host import build
from supervisor.host.limits import usable_cores
from supervisor.host.memory import processes_bytes
from supervisor.http.routes import Route, Serves
from supervisor.intake.autostart import Readiness
from supervisor.settings import Settings

_SHORTEST_NS: Final = 1_000_000_000
"""Rates are those of at least a second."""

_MEMORY_NS: Final = 10_000_000_000
"""How old a measurement of the memory may be: it costs more than all the rest."""


class WorkerCounts(msgspec.Struct, frozen=True):
    """Worker processes by what they do; a spare one waits for a scenario."""

    starting: int
    spare: int
    running: int


class DaemonFigures(msgspec.Struct, frozen=True):
    """The whole daemon; rates are those since an earlier read, totals never fall."""

    version: str
    git_sha: str
    uptime_secs: float
    overloaded: bool
    wakeup_slack_secs: float
    cores: int
    cores_in_use: float
    memory_bytes: int
    workers: WorkerCounts
    scenarios: dict[str, int]
    max_scenarios: int
    events_per_sec: float
    bytes_per_sec: float
    events_total: int
    bytes_total: int
    errors_total: int
    autostart: Readiness
    relay: bool
    catalog: bool


class Sums(NamedTuple):
    """What only grows: processor time in nanoseconds, events and bytes."""

    cpu_ns: int
    events: int
    size: int


class Meter:
    """How fast sums grow, from one reading to a later one; any thread may ask.

    Args:
        now_ns: monotonic; the sums are 0 then.
    """

    def __init__(self, now_ns: int) -> None:
        self._lock = threading.Lock()
        self._earlier = self._latest = (now_ns, Sums(0, 0, 0))

    def rates(self, now_ns: int, sums: Sums) -> tuple[float, float, float]:
        """Return how much each of `sums` has grown per second since a reading at least a second ago.

        Before there is one it is the growth since the beginning.
        """
        with self._lock:
            if now_ns - self._latest[0] >= _SHORTEST_NS:
                self._earlier, self._latest = self._latest, (now_ns, sums)
            since_ns, before = self._earlier
        secs = max(now_ns - since_ns, _SHORTEST_NS) / 1e9
        cpu, events, size = (max(now - was, 0) / secs for now, was in zip(sums, before, strict=True))
        return cpu / 1e9, events, size


class MeasuredMemory:
    """The memory of the daemon's processes, measured now and then; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._measured: tuple[int, int] | None = None

    def bytes(self, now_ns: int, pids: tuple[int, ...]) -> int:
        """Return the memory of `pids` and of this process, as it was at most ten seconds ago."""
        with self._lock:
            if self._measured is None or now_ns - self._measured[0] >= _MEMORY_NS:
                self._measured = now_ns, processes_bytes((os.getpid(),)) + processes_bytes(pids)
            return self._measured[1]


class DaemonResource:
    """The figures.

    Args:
        control_plane: knows the scenarios.
        settings: limits that are shown.
        clock: for the time the daemon has been up, which begins now.
        readiness: tells how far the autostart sweep is.
        figures: tells about workers.
        has_relay: whether there are routes that show a relay.
    """

    route = Route(Serves.READ)

    def __init__(
        self,
        control_plane: ControlPlane,
        settings: Settings,
        clock: Clock,
        readiness: Callable[[], Readiness],
        figures: Callable[[], Figures],
        *,
        has_relay: bool,
    ) -> None:
        self._control_plane = control_plane
        self._settings = settings
        self._clock = clock
        self._readiness = readiness
        self._figures = figures
        self._has_relay = has_relay
        self._started_ns = clock.monotonic_ns()
        self._meter = Meter(self._started_ns)
        self._memory = MeasuredMemory()
        self._build = (build.version(), build.git_sha())

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the figures of now."""
        del req
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(self._shown())

    on_head = on_get

    def _shown(self) -> DaemonFigures:
        now_ns, figures = self._clock.monotonic_ns(), self._figures()
        totals = figures.totals
        sums = Sums(time.process_time_ns() + totals.cpu_ns, totals.accepted_events, totals.accepted_bytes)
        cores_in_use, events_per_sec, bytes_per_sec = self._meter.rates(now_ns, sums)
        states = Counter(State(scenario.counters().state) for scenario in self._control_plane.scenarios())
        return DaemonFigures(
            *self._build,
            uptime_secs=(now_ns - self._started_ns) / 1e9,
            overloaded=figures.overloaded,
            wakeup_slack_secs=figures.slack_ns / 1e9,
            cores=usable_cores(),
            cores_in_use=cores_in_use,
            memory_bytes=self._memory.bytes(now_ns, figures.pids),
            workers=WorkerCounts(figures.starting, figures.spare, figures.running),
            scenarios={state.wire: states[state] for state in State},
            max_scenarios=self._settings.max_scenarios,
            events_per_sec=events_per_sec,
            bytes_per_sec=bytes_per_sec,
            events_total=totals.accepted_events,
            bytes_total=totals.accepted_bytes,
            errors_total=totals.errors,
            autostart=self._readiness(),
            relay=self._has_relay,
            catalog=self._settings.catalog is not None,
        )
