"""JSON bodies of successful answers; field order is key order.

Floats stay floats (`10.0`), NaN and infinities become null. Source: docs/http.md, "Start", "List and show", "Stats" and
"Stop".
"""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from common.counters import Counters
from common.digest import digest_of
from common.lateness import bucket_pairs, quantile_secs
from common.plan import SegmentOf
from common.states import State
from supervisor.engine.control_plane import RetuneResult, Scenario
from supervisor.journal.runs import Retuned

_STALE_NS: Final = 30_000_000_000


class Launched(msgspec.Struct, frozen=True):
    """A scenario as POST answers it; `place` is its number in the whole body, where a segment was asked for."""

    id: str
    name: str
    state: str
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET
    place: int | msgspec.UnsetType = msgspec.UNSET


class LaunchedList(msgspec.Struct, frozen=True):
    """What POST answers when a body became two or more scenarios, or when a segment was asked for."""

    scenarios: list[Launched]
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET
    segment: SegmentOf | msgspec.UnsetType = msgspec.UNSET


class Listed(msgspec.Struct, frozen=True):
    """A scenario in the list."""

    id: str
    name: str
    state: str
    elapsed_secs: float
    degraded: bool


class ScenarioList(msgspec.Struct, frozen=True):
    """All scenarios not yet deleted, in launch order."""

    scenarios: list[Listed]


class DetailStats(msgspec.Struct, frozen=True):
    """The counters within a scenario's detail."""

    total_events: int
    current_rate: float
    bytes_emitted: int
    errors: int
    consecutive_failures: int
    total_sink_failures: int
    last_sink_error: str | None
    last_successful_write_at: int | None
    degraded: bool


class PendingRef(msgspec.Struct, frozen=True):
    """What a gate across bodies waits for; `registered_at` is RFC 3339 in UTC, when it was first waited for."""

    scenario_name: str
    entry_id: str
    if_unresolved: str
    registered_at: str
    attempts: int


class MissedTicks(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """Ticks that a scenario has missed: the stamps of the first of them and of the next one behind, RFC 3339 in UTC."""

    from_: str
    to: str
    missed_ticks: int
    reason: str


class RetunedAt(msgspec.Struct, frozen=True):
    """A change of a scenario: the first tick that had it, the stamp of that, and the changed fields as they were then.

    The stamp is RFC 3339 in UTC, or null where a gate held the scenario back; a field is null when it was removed.
    """

    tick: int
    at: str | None
    changes: dict[str, Any]


class Changed(msgspec.Struct, frozen=True):
    """What PATCH answers: as `RetunedAt`; tick and stamp are null and `changes` is empty when nothing was changed."""

    id: str
    name: str
    state: str
    tick: int | None
    at: str | None
    changes: dict[str, Any]


class Detail(msgspec.Struct, frozen=True):
    """One scenario.

    `pending_ref` is there only while the state is unresolved, `exit_reason` only when its worker ended abnormally,
    `holes` only when ticks were missed because the daemon was down or a shared worker had gone, `restarts` only when it
    goes on in another shared worker, `segment` and `start_at` (RFC 3339 in UTC) only when they were asked for,
    `retunes` only when it was changed while it ran.
    """

    id: str
    name: str
    state: str
    elapsed_secs: float
    degraded: bool
    config: dict[str, Any]
    stats: DetailStats
    pending_ref: PendingRef | msgspec.UnsetType = msgspec.UNSET
    exit_reason: str | msgspec.UnsetType = msgspec.UNSET
    holes: list[MissedTicks] | msgspec.UnsetType = msgspec.UNSET
    restarts: int | msgspec.UnsetType = msgspec.UNSET
    segment: str | msgspec.UnsetType = msgspec.UNSET
    start_at: str | msgspec.UnsetType = msgspec.UNSET
    retunes: list[RetunedAt] | msgspec.UnsetType = msgspec.UNSET


class Stats(msgspec.Struct, frozen=True):
    """Live telemetry of one scenario."""

    total_events: int
    current_rate: float
    target_rate: float
    bytes_emitted: int
    errors: int
    uptime_secs: float
    state: str
    in_gap: bool
    in_burst: bool
    consecutive_failures: int
    total_sink_failures: int
    last_sink_error: str | None
    last_successful_write_at: int | None
    degraded: bool
    current_state_secs: float
    cumulative_resolution_attempts: int
    rejected_batches: int
    rejected_events: int
    last_rejection: str | None
    lost_events: int
    acknowledged_events: int
    in_doubt_events: int
    cpu_seconds: float
    wakeups: int
    lateness_p50_secs: float | None
    lateness_p99_secs: float | None
    lateness_buckets: list[tuple[int, int]]
    backlog_secs: float
    backlog_left_secs: float | None
    digest: str | None


class Sent(msgspec.Struct, frozen=True):
    """What POST /events answers; the latency is that from encoding to the destination's answer."""

    sent: bool
    signal_type: str
    latency_ms: int
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


class Deleted(msgspec.Struct, frozen=True):
    """What DELETE answers; `stats` are the last ones, where they were asked for."""

    id: str
    status: str
    total_events: int
    stats: Stats | msgspec.UnsetType = msgspec.UNSET


class UnresolvedRef(msgspec.Struct, frozen=True):
    """A gate of a posted body whose upstream in another body does not run."""

    scenario_name: str
    entry_id: str
    referenced_by: str


def launched(scenario: Scenario) -> Launched:
    """Return id, name and live state of `scenario`."""
    return Launched(scenario.id, scenario.entry.plan.name, _state(scenario.counters()))


def launch_answer(
    scenarios: list[Scenario], warnings: list[str], segment: SegmentOf | None = None
) -> Launched | LaunchedList:
    """Return the flat body for one scenario of a whole body, otherwise the list; without warnings the key is absent."""
    shown = warnings or msgspec.UNSET
    rows = [Launched(scenario.id, scenario.entry.plan.name, scenario.first_state.wire) for scenario in scenarios]
    if len(rows) == 1 and segment is None:
        return msgspec.structs.replace(rows[0], warnings=shown)
    if segment is not None:
        places = (scenario.entry.place for scenario in scenarios)
        rows = [msgspec.structs.replace(row, place=place) for row, place in zip(rows, places, strict=True)]
    return LaunchedList(rows, shown, segment or msgspec.UNSET)


def listed(scenario: Scenario, now_ns: int, wall_ns: int) -> Listed:
    """Return the list entry of `scenario`.

    Args:
        scenario: any.
        now_ns: CLOCK_MONOTONIC.
        wall_ns: ns since the Unix epoch.
    """
    counters = scenario.counters()
    return Listed(
        id=scenario.id,
        name=scenario.entry.plan.name,
        state=_state(counters),
        elapsed_secs=_seconds(now_ns - scenario.launched_ns),
        degraded=_degraded(counters, wall_ns),
    )


def detail(scenario: Scenario, now_ns: int, wall_ns: int) -> Detail:
    """Return the detail of `scenario`; arguments as `listed`."""
    counters = scenario.counters()
    degraded = _degraded(counters, wall_ns)
    return Detail(
        id=scenario.id,
        name=scenario.entry.plan.name,
        state=_state(counters),
        elapsed_secs=_seconds(now_ns - scenario.launched_ns),
        degraded=degraded,
        config=scenario.entry.config,
        stats=DetailStats(
            total_events=counters.total_events,
            current_rate=counters.current_rate,
            bytes_emitted=counters.bytes_emitted,
            errors=counters.errors,
            consecutive_failures=counters.consecutive_failures,
            total_sink_failures=counters.total_sink_failures,
            last_sink_error=counters.last_sink_error,
            last_successful_write_at=counters.last_successful_write_at or None,
            degraded=degraded,
        ),
        pending_ref=_pending_ref(scenario) if counters.state == State.UNRESOLVED else msgspec.UNSET,
        exit_reason=scenario.exit_reason or msgspec.UNSET,
        holes=[
            MissedTicks(_rfc3339(hole.from_ns), _rfc3339(hole.until_ns), hole.missed_ticks, hole.reason)
            for hole in scenario.holes
        ]
        or msgspec.UNSET,
        restarts=scenario.restarts or msgspec.UNSET,
        segment=scenario.entry.segment or msgspec.UNSET,
        start_at=msgspec.UNSET if scenario.entry.start_at_ns is None else _rfc3339(scenario.entry.start_at_ns),
        retunes=[RetunedAt(one.tick, _stamp(one), one.changes) for one in scenario.retunes] or msgspec.UNSET,
    )


def change_answer(scenario: Scenario, result: RetuneResult) -> Changed:
    """Return what a change of `scenario` has come to."""
    retuned = result.retuned
    return Changed(
        id=scenario.id,
        name=scenario.entry.plan.name,
        state=_state(scenario.counters()),
        tick=None if retuned is None else retuned.tick,
        at=None if retuned is None else _stamp(retuned),
        changes={} if retuned is None else retuned.changes,
    )


def stats(scenario: Scenario, now_ns: int, wall_ns: int) -> Stats:
    """Return the live telemetry of `scenario`; arguments as `listed`."""
    counters, resolution = scenario.counters(), scenario.resolution
    late = scenario.lateness(now_ns)
    return Stats(
        total_events=counters.total_events,
        current_rate=counters.current_rate,
        target_rate=scenario.entry.plan.own_rate,
        bytes_emitted=counters.bytes_emitted,
        errors=counters.errors,
        uptime_secs=_seconds(now_ns - scenario.launched_ns),
        state=_state(counters),
        in_gap=counters.in_gap,
        in_burst=counters.in_burst,
        consecutive_failures=counters.consecutive_failures,
        total_sink_failures=counters.total_sink_failures,
        last_sink_error=counters.last_sink_error,
        last_successful_write_at=counters.last_successful_write_at or None,
        degraded=_degraded(counters, wall_ns),
        current_state_secs=_seconds(now_ns - (counters.state_since_ns or scenario.launched_ns)),
        cumulative_resolution_attempts=resolution.attempts if resolution else 0,
        rejected_batches=counters.rejected_batches,
        rejected_events=counters.rejected_events,
        last_rejection=counters.last_rejection,
        lost_events=counters.lost_events,
        acknowledged_events=counters.acknowledged_events,
        in_doubt_events=counters.in_doubt_events,
        cpu_seconds=_seconds(counters.cpu_ns),
        wakeups=counters.wakeups,
        lateness_p50_secs=None if late is None else quantile_secs(late, 0.5),
        lateness_p99_secs=None if late is None else quantile_secs(late, 0.99),
        lateness_buckets=bucket_pairs(scenario.run_lateness()),
        backlog_secs=_seconds(counters.backlog_ns),
        backlog_left_secs=_left_secs(counters, scenario.entry.plan.own_rate),
        digest=digest_of(scenario.entry.plan, counters),
    )


def _pending_ref(scenario: Scenario) -> PendingRef | msgspec.UnsetType:
    gate, resolution = scenario.entry.plan.gate, scenario.resolution
    if gate is None or gate.scenario_name is None or resolution is None:
        return msgspec.UNSET
    return PendingRef(
        scenario_name=gate.scenario_name,
        entry_id=gate.ref,
        if_unresolved=gate.if_unresolved,
        registered_at=_rfc3339(resolution.registered_at_ns),
        attempts=resolution.attempts,
    )


def _stamp(retuned: Retuned) -> str | None:
    return None if retuned.stamp_ns is None else _rfc3339(retuned.stamp_ns)


def _rfc3339(stamp_ns: int) -> str:
    """Return an instant, ns since the epoch, to the millisecond."""
    instant = datetime.fromtimestamp(stamp_ns / 1e9, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _left_secs(counters: Counters, rate: float) -> float | None:
    """Return how long a backlog will last at the present rate; None when there is none, or no end of it in sight."""
    gained = counters.current_rate / rate - 1.0
    return _seconds(counters.backlog_ns) / gained if counters.backlog_ns and gained > 0 else None


def _state(counters: Counters) -> str:
    return State(counters.state).wire


def _seconds(span_ns: int) -> float:
    return max(span_ns, 0) / 1e9


def _degraded(counters: Counters, wall_ns: int) -> bool:
    """Whether writes failed or were refused and none has succeeded lately; one in the future counts as fresh."""
    return counters.total_sink_failures + counters.rejected_batches > 0 and (
        not counters.last_successful_write_at or wall_ns - counters.last_successful_write_at > _STALE_NS
    )
