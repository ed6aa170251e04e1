"""JSON bodies of a dry run: what would be started, and what it would emit.

Source: docs/http.md, "Start".
"""

from typing import Any, Final

import msgspec

from common.errors import BodyFault
from common.messages import Curve
from common.plan import EntryPlan, Plan, ReplayColumn, ReplayRows, SegmentOf
from supervisor.engine.control_plane import CallTimeoutError, ControlPlane, EventError
from supervisor.http.listing import EntryLink, duration_secs, links_of

MOST_PREVIEW_SECS: Final = 86_400
DEFAULT_PREVIEW_SECS: Final = 300

_POINTS: Final = 120
_ENTRIES: Final = 20
_RECORDED_BYTES: Final = 16 * 1024 * 1024
"""What the recordings of previewed entries may have together: they are sent to a worker."""

_PREVIEW_TIMEOUT_SECS: Final = 5.0


class PlannedScenario(msgspec.Struct, frozen=True):
    """A scenario as it would run; `duration_secs` is null for one that runs until it is stopped."""

    name: str
    signal_type: str
    rate: float
    duration_secs: float | None
    phase_offset_secs: float
    entry_id: str | None
    links: list[EntryLink]
    config: dict[str, Any]


class ShownCurve(msgspec.Struct, frozen=True):
    """What one of `scenarios` would emit; `values` is null in a gap, and where it is no finite number."""

    scenario: int
    kind: str
    secs: tuple[float, ...]
    values: tuple[float | None, ...]
    lines: tuple[str, ...]


class ShownPreview(msgspec.Struct, frozen=True):
    """The first seconds of a body; `omitted` counts the scenarios without a curve."""

    secs: float
    entries: list[ShownCurve]
    omitted: int
    error: str | None


class DryRun(msgspec.Struct, frozen=True):
    """What POST would start, in launch order; a body with faults is refused as without `dry_run`."""

    scenario_name: str | None
    scenarios: list[PlannedScenario]
    warnings: list[str]
    faults: list[BodyFault]
    preview: ShownPreview | None
    segment: SegmentOf | msgspec.UnsetType = msgspec.UNSET


def dry_run_answer(plan: Plan, warnings: list[str], preview: ShownPreview | None) -> DryRun:
    """Return what `plan` would start."""
    planned = [
        PlannedScenario(
            name=entry.plan.name,
            signal_type=entry.plan.signal_type,
            rate=entry.plan.own_rate,
            duration_secs=duration_secs(entry),
            phase_offset_secs=entry.plan.phase_offset_ns / 1e9,
            entry_id=entry.plan.id,
            links=links_of(entry),
            config=entry.config,
        )
        for entry in plan.entries
    ]
    return DryRun(plan.scenario_name, planned, warnings, [], preview, plan.segment or msgspec.UNSET)


def preview_of(control_plane: ControlPlane, plan: Plan, secs: int, timeout_secs: float) -> ShownPreview | None:
    """Return the first `secs` seconds of `plan`, None for 0; what goes wrong with it stands in its `error`."""
    if not secs:
        return None
    asked = _shown(plan)
    curves: tuple[Curve, ...] = ()
    error = None
    try:
        curves = tuple(control_plane.preview(asked, secs, _POINTS, min(timeout_secs, _PREVIEW_TIMEOUT_SECS)))
    except (EventError, CallTimeoutError) as exc:
        error = str(exc)
    shown = [ShownCurve(place, curve.kind, curve.secs, curve.values, curve.lines) for place, curve in enumerate(curves)]
    return ShownPreview(float(secs), shown, len(plan.entries) - len(shown), error)


def _shown(plan: Plan) -> list[EntryPlan]:
    """Return the first entries, as far as they and their recordings are sent in no time."""
    asked: list[EntryPlan] = []
    recorded = 0
    for entry in plan.entries[:_ENTRIES]:
        recorded += _recorded_bytes(entry.plan)
        if recorded > _RECORDED_BYTES:
            break
        asked.append(entry.plan)
    return asked


def _recorded_bytes(plan: EntryPlan) -> int:
    match plan.generator:
        case ReplayColumn(values=values):
            return len(values)
        case ReplayRows(messages=messages, fields=fields):
            texts = [text for column in fields.values() for text in column if text is not None]
            return sum(map(len, messages)) + sum(map(len, texts))
        case _:
            return 0
