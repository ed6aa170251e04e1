"""GET /metrics: the control plane about itself; with `own=1` also about its workers.

Source: docs/http.md, "The daemon itself".
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import falcon
import numpy as np

from common.clock import Clock
from common.counters import Counters
from common.families import CONTENT_TYPE, Family, header, histogram_lines, single
from common.lateness import BUCKETS, quantile_secs
from common.specs import kind_of
from common.states import State
from supervisor.engine.control_plane import ControlPlane, Scenario
from supervisor.engine.figures import Figures
from supervisor.host import build
from supervisor.http.request_counts import BUCKETS_SECS, RequestCounts
from supervisor.http.routes import Route, Serves
from supervisor.intake.autostart import Readiness
from supervisor.relay_link.client import RelayClient
from supervisor.settings import Settings

_DURATIONS: Final = "sonda_server_request_duration_seconds"
_QUANTILES: Final = (0.5, 0.99)
_COSTLIEST: Final = 50
_LOCKS: Final = (
    "gate_buses",
    "gate_pending",
    "gate_subscribers",
    "request_counters",
    "request_histograms",
    "scenarios",
)
"""Names of another implementation, in which a lock can break; here none can."""


class ServerMetrics:
    """The daemon's own metric families.

    Args:
        control_plane: knows the scenarios.
        settings: limits that are shown.
        counts: requests.
        clock: for the time the daemon has been up, which begins now.
        readiness: tells how far the autostart sweep is.
        figures: tells about workers.
        relay: asked whether it answers; None without one.
    """

    route = Route(Serves.READ)

    def __init__(
        self,
        control_plane: ControlPlane,
        settings: Settings,
        counts: RequestCounts,
        clock: Clock,
        readiness: Callable[[], Readiness],
        figures: Callable[[], Figures],
        relay: RelayClient | None,
    ) -> None:
        self._control_plane = control_plane
        self._settings = settings
        self._counts = counts
        self._clock = clock
        self._readiness = readiness
        self._figures = figures
        self._relay = relay
        self._started_ns = clock.monotonic_ns()
        self._build = (build.version(), build.git_sha())

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the twelve families, and after them our own when `own=1` is asked for."""
        text = "".join(self._default())
        if "own=1" in req.query_string.split("&"):
            text += "".join(family.text() for family in self._own())
        resp.content_type = CONTENT_TYPE
        resp.data = text.encode()

    on_head = on_get

    def _default(self) -> Iterator[str]:
        states: Counter[State] = Counter()
        failures: Counter[str] = Counter()
        for scenario in self._control_plane.scenarios():
            counters = scenario.counters()
            states[State(counters.state)] += 1
            failures[kind_of(scenario.entry.plan.sink)] += counters.total_sink_failures
        for family in self._scenario_families(states):
            yield family.text()
        yield from self._request_families()
        yield Family(
            "sonda_server_sink_errors_total",
            "counter",
            "Sink failures of the scenarios present.",
            ("sink_type",),
            [((kind,), count) for kind, count in sorted(failures.items())],
        ).text()
        for family in self._process_families():
            yield family.text()

    def _scenario_families(self, states: Counter[State]) -> Iterator[Family]:
        yield Family(
            "sonda_server_active_scenarios",
            "gauge",
            "Scenarios that have not finished.",
            ("state",),
            [((state.wire,), states[state]) for state in State if state is not State.FINISHED],
        )
        finished = states[State.FINISHED]
        yield single(
            "sonda_server_scenarios_finished_total", "counter", "Finished scenarios not yet deleted.", finished
        )
        workers, cap = self._settings.workers, self._settings.max_scenarios
        yield single("sonda_server_worker_threads", "gauge", "Workers that may be starting at once.", workers)
        yield single("sonda_server_max_scenarios", "gauge", "Most scenarios there may be, 0 is unlimited.", cap)
        ready = self._readiness()
        started, expected = ready.autostart_started, ready.autostart_expected
        yield single("sonda_server_autostart_started", "gauge", "Catalog files started so far.", started)
        yield single("sonda_server_autostart_expected", "gauge", "Catalog files to be started.", expected)

    def _request_families(self) -> Iterator[str]:
        yield Family(
            "sonda_server_requests_total",
            "counter",
            "Requests answered.",
            ("route", "method", "status"),
            [((route, method, str(status)), count) for (route, method, status), count in self._counts.statuses()],
        ).text()
        yield header(_DURATIONS, "histogram", "Time from the start of a request's handling to its answer.")
        for (route, method), durations in self._counts.durations():
            labels = (("route", route), ("method", method))
            yield from histogram_lines(_DURATIONS, labels, BUCKETS_SECS, durations.counts, durations.sum_secs)

    def _process_families(self) -> Iterator[Family]:
        yield Family(
            "sonda_server_lock_recoveries_total",
            "counter",
            "Broken locks taken over; there are none here.",
            ("lock",),
            [((lock,), 0) for lock in _LOCKS],
        )
        up_secs = (self._clock.monotonic_ns() - self._started_ns) / 1e9
        yield single("sonda_server_uptime_seconds", "gauge", "Time since the daemon started.", up_secs)
        yield Family(
            "sonda_server_build_info",
            "gauge",
            "Version and commit of the daemon.",
            ("version", "git_sha"),
            [(self._build, 1)],
        )

    def _own(self) -> Iterator[Family]:
        figures = self._figures()
        yield Family(
            "sondad_worker_processes",
            "gauge",
            "Worker processes by state; a spare one waits for a scenario.",
            ("state",),
            [(("starting",), figures.starting), (("spare",), figures.spare), (("running",), figures.running)],
        )
        yield Family(
            "sondad_worker_exits_total",
            "counter",
            "Worker processes that have exited, by reason.",
            ("reason",),
            [((ending,), count) for ending, count in figures.endings.items()],
        )
        yield self._lateness()
        shown = [(scenario.counters(), scenario) for scenario in self._control_plane.scenarios()]
        yield from self._costliest(shown)
        slack_secs = figures.slack_ns / 1e9
        yield single(
            "sondad_wakeup_slack_seconds",
            "gauge",
            "How late ticks may be fired so that all scenarios keep the wake-up budget.",
            slack_secs,
        )
        overloaded = figures.overloaded
        yield single("sondad_overloaded", "gauge", "Whether the machine is too busy for its ticks.", overloaded)
        yield single(
            "sondad_scenario_restarts_total",
            "counter",
            "Scenarios that went on in another shared worker after theirs had gone.",
            figures.restarts_total,
        )
        moves = figures.moves_total
        yield single("sondad_scenario_moves_total", "counter", "Scenarios that left a busy shared worker.", moves)
        yield from _throughput(figures, shown)
        batches = figures.totals.batches
        yield single("sondad_batches_total", "counter", "Batches of due ticks that were fired together.", batches)
        yield single("sondad_pool_refills_total", "counter", "Workers started for the pool.", figures.started_total)
        yield Family(
            "sondad_deliveries_total",
            "counter",
            "Writes and requests of sinks by result; retries are not counted.",
            ("sink_type", "result"),
            sorted(figures.totals.deliveries.items()),
        )
        yield Family(
            "sondad_sink_events_total",
            "counter",
            "Events by what became of them; those in doubt are some of the rejected and lost, for tcp of the others.",
            ("sink_type", "outcome"),
            sorted(figures.totals.events.items()),
        )
        yield Family(
            "sondad_board_rows",
            "gauge",
            "Rows of the shared memory, one for each worker.",
            ("state",),
            [(("used",), figures.rows_used), (("free",), figures.rows_free)],
        )
        dropped = figures.log_lines_dropped
        yield single(
            "sondad_log_lines_dropped_total",
            "counter",
            "Log lines dropped because stderr was not read in time.",
            dropped,
        )
        closed = figures.stdout_closed
        yield single("sondad_stdout_closed", "gauge", "Whether the reader of stdout is gone.", closed)
        if self._relay is not None:
            yield single("sondad_relay_up", "gauge", "Whether the relay answers.", self._relay.answers())

    def _lateness(self) -> Family:
        now_ns = self._clock.monotonic_ns()
        counts = np.zeros(BUCKETS, dtype=np.uint64)
        for scenario in self._control_plane.scenarios():
            late = scenario.lateness(now_ns)
            if late is not None:
                counts += late
        return Family(
            "sondad_tick_lateness_seconds",
            "summary",
            "How late ticks were fired in the last full second; NaN when there were none.",
            ("quantile",),
            [((str(quantile),), quantile_secs(counts, quantile)) for quantile in _QUANTILES],
        )

    def _costliest(self, shown: list[tuple[Counters, Scenario]]) -> Iterator[Family]:
        """Yield what the scenarios cost that have taken the most processor time."""
        shown = heapq.nlargest(_COSTLIEST, shown, key=lambda one: one[0].cpu_ns)
        labelled = [((one.id, one.entry.plan.name), counters, one) for counters, one in shown]
        yield Family(
            "sondad_scenario_cpu_seconds_total",
            "counter",
            "Processor time of the scenarios that have taken the most of it.",
            ("id", "name"),
            [(labels, counters.cpu_ns / 1e9) for labels, counters, _ in labelled],
        )
        yield Family(
            "sondad_scenario_wakeups_total",
            "counter",
            "How often those scenarios woke for their ticks.",
            ("id", "name"),
            [(labels, counters.wakeups) for labels, counters, _ in labelled],
        )
        yield Family(
            "sondad_scenario_events_total",
            "counter",
            "Events of those scenarios that their sinks have accepted.",
            ("id", "name"),
            [(labels, counters.total_events) for labels, counters, _ in labelled],
        )
        yield Family(
            "sondad_scenario_target_events_per_second",
            "gauge",
            "What those scenarios are to emit while they run.",
            ("id", "name"),
            [
                (labels, one.entry.plan.own_rate if counters.state == State.RUNNING else 0)
                for labels, counters, one in labelled
            ],
        )
        now_ns = self._clock.monotonic_ns()
        late = [(labels, one.lateness(now_ns)) for labels, _, one in labelled]
        yield Family(
            "sondad_scenario_tick_lateness_seconds",
            "summary",
            "How late the ticks of those scenarios were fired in the last full second.",
            ("id", "name", "quantile"),
            [
                ((*labels, str(quantile)), quantile_secs(counts, quantile))
                for labels, counts in late
                if counts is not None
                for quantile in _QUANTILES
            ],
        )


def _throughput(figures: Figures, shown: list[tuple[Counters, Scenario]]) -> Iterator[Family]:
    totals = figures.totals
    accepted, size, errors = totals.accepted_events, totals.accepted_bytes, totals.errors
    yield single("sondad_events_total", "counter", "Events that sinks have accepted.", accepted)
    yield single("sondad_event_bytes_total", "counter", "Bytes of those events.", size)
    yield single("sondad_event_errors_total", "counter", "Events lost by errors of sinks and encoders.", errors)
    cpu_secs = totals.cpu_ns / 1e9
    yield single("sondad_cpu_seconds_total", "counter", "Processor time that scenarios have taken.", cpu_secs)
    wanted = sum(one.entry.plan.own_rate for counters, one in shown if counters.state == State.RUNNING)
    yield single("sondad_target_events_per_second", "gauge", "What running scenarios are to emit.", wanted)
