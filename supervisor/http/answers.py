"""JSON bodies of successful answers; field order is key order.

Floats stay floats (`10.0`), NaN and infinities become null. Source: docs/http.md, "Start", "List and show", "Stats" and
"Stop".
"""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from common.board import Counters
from common.errors import BodyFault
from common.plan import Plan
from common.states import State
from supervisor.engine.control_plane import Scenario

_STALE_NS: Final = 30_000_000_000


class Launched(msgspec.Struct, frozen=True):
    """A scenario as POST answers it."""

    id: str
    name: str
    state: str
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


class LaunchedList(msgspec.Struct, frozen=True):
    """What POST answers when a body became two or more scenarios."""

    scenarios: list[Launched]
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


class PlannedScenario(msgspec.Struct, frozen=True):
    """A scenario as it would run; `duration_secs` is null for one that runs until it is stopped."""

    name: str
    signal_type: str
    rate: float
    duration_secs: float | None
    phase_offset_secs: float
    config: dict[str, Any]


class DryRun(msgspec.Struct, frozen=True):
    """What POST would start, in launch order; a body with faults is refused as without `dry_run`."""

    scenario_name: str | None
    scenarios: list[PlannedScenario]
    warnings: list[str]
    faults: list[BodyFault]


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


class Detail(msgspec.Struct, frozen=True):
    """One scenario.

    `pending_ref` is there only while the state is unresolved, `exit_reason` only when its worker ended abnormally.
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


class Sent(msgspec.Struct, frozen=True):
    """What POST /events answers; the latency is that from encoding to the destination's answer."""

    sent: bool
    signal_type: str
    latency_ms: int
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


class Deleted(msgspec.Struct, frozen=True):
    """What DELETE answers."""

    id: str
    status: str
    total_events: int


class UnresolvedRef(msgspec.Struct, frozen=True):
    """A gate of a posted body whose upstream in another body does not run."""

    scenario_name: str
    entry_id: str
    referenced_by: str


def launched(scenario: Scenario) -> Launched:
    """Return id, name and live state of `scenario`."""
    return Launched(scenario.id, scenario.entry.plan.name, _state(scenario.counters()))


def launch_answer(scenarios: list[Scenario], warnings: list[str]) -> Launched | LaunchedList:
    """Return the flat body for one scenario, the list for several; without warnings the key is absent."""
    shown = warnings or msgspec.UNSET
    rows = [Launched(scenario.id, scenario.entry.plan.name, scenario.first_state.wire) for scenario in scenarios]
    if len(rows) == 1:
        return msgspec.structs.replace(rows[0], warnings=shown)
    return LaunchedList(rows, shown)


def dry_run_answer(plan: Plan, warnings: list[str]) -> DryRun:
    """Return what `plan` would start."""
    rows = [
        PlannedScenario(
            name=entry.plan.name,
            signal_type=entry.plan.signal_type,
            rate=entry.plan.rate,
            duration_secs=None if entry.plan.duration_ns is None else entry.plan.duration_ns / 1e9,
            phase_offset_secs=entry.plan.phase_offset_ns / 1e9,
            config=entry.config,
        )
        for entry in plan.entries
    ]
    return DryRun(plan.scenario_name, rows, warnings, [])


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
    )


def stats(scenario: Scenario, now_ns: int, wall_ns: int) -> Stats:
    """Return the live telemetry of `scenario`; arguments as `listed`."""
    counters, resolution = scenario.counters(), scenario.resolution
    return Stats(
        total_events=counters.total_events,
        current_rate=counters.current_rate,
        target_rate=scenario.entry.plan.rate,
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
    )


def _pending_ref(scenario: Scenario) -> PendingRef | msgspec.UnsetType:
    gate, resolution = scenario.entry.plan.gate, scenario.resolution
    if gate is None or gate.scenario_name is None or resolution is None:
        return msgspec.UNSET
    registered_at = datetime.fromtimestamp(resolution.registered_at_ns / 1e9, UTC)
    return PendingRef(
        scenario_name=gate.scenario_name,
        entry_id=gate.ref,
        if_unresolved=gate.if_unresolved,
        registered_at=registered_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        attempts=resolution.attempts,
    )


def _state(counters: Counters) -> str:
    return State(counters.state).wire


def _seconds(span_ns: int) -> float:
    return max(span_ns, 0) / 1e9


def _degraded(counters: Counters, wall_ns: int) -> bool:
    """Whether writes failed or were refused and none has succeeded lately; one in the future counts as fresh."""
    return counters.total_sink_failures + counters.rejected_batches > 0 and (
        not counters.last_successful_write_at or wall_ns - counters.last_successful_write_at > _STALE_NS
    )
