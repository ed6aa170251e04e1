"""Entries for tests of the supervisor."""

from typing import Any

from common.plan import EntryPlan, Plan, PlannedEntry
from common.specs import Constant, Memory, PrometheusText


def planned_entry(name: str = "up", **changes: Any) -> PlannedEntry:
    """Return an entry that emits 1.0 ten times a second into memory."""
    plan: dict[str, Any] = {
        "id": None,
        "name": name,
        "rate": 10.0,
        "duration_ns": None,
        "generator": Constant(value=1.0),
        "labels": {},
        "encoder": PrometheusText(),
        "sink": Memory(),
    }
    return PlannedEntry(plan=EntryPlan(**plan | changes), config={})


def plan_of(*entries: PlannedEntry, scenario_name: str | None = None) -> Plan:
    """Return a body of these entries."""
    return Plan(scenario_name=scenario_name, entries=entries)
