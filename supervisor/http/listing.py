"""JSON bodies of the list with stats: all that a table of scenarios shows, in one answer.

Source: docs/http.md, "List and show".
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from common.plan import PlannedEntry
from common.sharing import Isolation
from common.specs import File, SinkSpec, kind_of
from common.urls import shown_url
from supervisor.engine.control_plane import Scenario
from supervisor.http.answers import Listed, Stats, stats


class ShownSink(msgspec.Struct, frozen=True):
    """A sink as people may see it: URLs, `host:port` or the path of a file, secrets masked."""

    type: str
    addresses: list[str]


class EntryLink(msgspec.Struct, frozen=True):
    """What an entry waits for: the value of `ref`, an entry of the same body unless `scenario_name` names another."""

    kind: Literal["after", "while"]
    scenario_name: str | None
    ref: str
    op: str
    value: float


class ScenarioRow(Listed, frozen=True):
    """A scenario in the list, with what it does; `body_id` is the id of the first entry of its body.

    `segment` is null where none was asked for.
    """

    body_id: str
    scenario_name: str | None
    entry_id: str | None
    signal_type: str
    sink: ShownSink
    isolation: Isolation
    duration_secs: float | None
    phase_offset_secs: float
    links: list[EntryLink]
    segment: str | None
    exit_reason: str | None
    stats: Stats


class ScenarioRows(msgspec.Struct, frozen=True):
    """All scenarios not yet deleted, in launch order."""

    scenarios: list[ScenarioRow]


def rows(scenarios: Iterable[Scenario], now_ns: int, wall_ns: int) -> ScenarioRows:
    """Return the list of `scenarios` with their stats.

    Args:
        scenarios: in the order of the list.
        now_ns: CLOCK_MONOTONIC.
        wall_ns: ns since the Unix epoch.
    """
    return ScenarioRows([_row(scenario, now_ns, wall_ns) for scenario in scenarios])


def links_of(entry: PlannedEntry) -> list[EntryLink]:
    """Return what `entry` waits for before it starts, and what its gate watches."""
    links = []
    after: dict[str, Any] | None = entry.config.get("after")
    if after is not None:
        links.append(EntryLink("after", None, after["ref"], after["op"], after["value"]))
    gate = entry.plan.gate
    if gate is not None:
        links.append(EntryLink("while", gate.scenario_name, gate.ref, gate.op, gate.value))
    return links


def duration_secs(entry: PlannedEntry) -> float | None:
    """Return for how long `entry` runs from its start on; None when it runs until it is stopped."""
    plan = entry.plan
    return None if plan.duration_ns is None else (plan.duration_ns - plan.backfill_ns) / 1e9


def _row(scenario: Scenario, now_ns: int, wall_ns: int) -> ScenarioRow:
    entry, measured = scenario.entry, stats(scenario, now_ns, wall_ns)
    return ScenarioRow(
        id=scenario.id,
        name=entry.plan.name,
        state=measured.state,
        elapsed_secs=measured.uptime_secs,
        degraded=measured.degraded,
        body_id=scenario.body_id,
        scenario_name=scenario.scenario_name,
        entry_id=entry.plan.id,
        signal_type=entry.plan.signal_type,
        sink=_shown_sink(entry.plan.sink),
        isolation="shared" if scenario.shares_worker else "process",
        duration_secs=duration_secs(entry),
        phase_offset_secs=entry.plan.phase_offset_ns / 1e9,
        links=links_of(entry),
        segment=entry.segment,
        exit_reason=scenario.exit_reason,
        stats=measured,
    )


def _shown_sink(sink: SinkSpec) -> ShownSink:
    places = [sink.path] if isinstance(sink, File) else [shown_url(address) for address in sink.addresses]
    return ShownSink(kind_of(sink), places)
