"""What would run, as text or JSON. Source: docs/command-line.md, "Dry run"."""

import json
from typing import Any

import msgspec

from common.plan import PlannedEntry
from common.specs import kind_of
from common.units import number_text
from supervisor.cli.running.source import ReadyScenario
from supervisor.cli.running.words import (
    delay_text,
    first_open_text,
    group_text,
    labels_text,
    offset_of,
    sink_text,
    source_text,
    while_text,
)
from supervisor.compiler import CompiledEntry
from supervisor.compiler.language.document import VERSION


def dry_run_text(scenario: ReadyScenario) -> str:
    """Return the blocks of all entries and the verdict, without a final line feed."""
    entries = scenario.plan.entries
    total = len(entries)
    count = f"{total} scenario{'' if total == 1 else 's'}"
    lines = [f"[config] file: {scenario.reference} (version: {VERSION}, {count})"]
    for number, planned in enumerate(entries, 1):
        lines += ["", f"[config] [{number}/{total}] {planned.plan.name}", ""]
        lines += [f"    {label:<15} {value}" for label, value in _fields(scenario, planned)]
        if number < total:
            lines.append("---")
    return "\n".join([*lines, "", f"Validation: OK ({count})"])


def dry_run_json(scenario: ReadyScenario) -> str:
    """Return all entries as JSON, without a final line feed."""
    shown: dict[str, Any] = {
        "file": scenario.reference,
        "version": VERSION,
        "scenarios": [_item(scenario, number, entry) for number, entry in enumerate(scenario.plan.entries, 1)],
    }
    if scenario.plan.segment is not None:
        shown["segment"] = msgspec.to_builtins(scenario.plan.segment)
    return json.dumps(shown, indent=2, ensure_ascii=False)


def _fields(scenario: ReadyScenario, planned: PlannedEntry) -> list[tuple[str, str]]:
    written = scenario.compiled.entries[planned.index]
    fields: list[tuple[str, str | None]] = [
        ("name:", planned.plan.name),
        ("signal:", written.signal_type),
        ("rate:", f"{number_text(planned.plan.own_rate)}/s"),
        ("duration:", written.duration or "indefinite"),
        ("generator:" if written.distribution is None else "distribution:", source_text(written)),
        ("encoder:", kind_of(written.encoder)),
        ("sink:", sink_text(written.sink)),
        ("labels:", labels_text(planned.plan.labels) or None),
        _offset_field(written),
        ("clock_group:", _group(written)),
        ("while:", while_text(written)),
        ("first_open:", first_open_text(written, scenario.compiled)),
        ("delay:", delay_text(written)),
    ]
    return [(label, value) for label, value in fields if value is not None]


def _offset_field(written: CompiledEntry) -> tuple[str, str | None]:
    after, gate = written.after, written.while_
    if after is not None and gate is not None and after.ref != gate.ref:
        return "after_first_fire:", f"{offset_of(written)} (ref: {after.ref})"
    return "phase_offset:", offset_of(written)


def _group(written: CompiledEntry) -> str | None:
    return None if not written.clock_group else group_text(written.clock_group, auto=written.clock_group_auto)


def _item(scenario: ReadyScenario, number: int, planned: PlannedEntry) -> dict[str, Any]:
    written = scenario.compiled.entries[planned.index]
    item: dict[str, Any] = {
        "index": number,
        "name": planned.plan.name,
        "signal": written.signal_type,
        "rate": planned.plan.own_rate,
        "duration": written.duration,
        "generator": source_text(written),
        "encoder": kind_of(written.encoder),
        "sink": sink_text(written.sink),
        "labels": dict(sorted(planned.plan.labels.items())),
        "phase_offset": offset_of(written),
        "clock_group": written.clock_group or None,
        "clock_group_is_auto": written.clock_group_auto,
    }
    optional = {
        "while_clause": while_text(written),
        "delay_clause": delay_text(written),
        "first_open": first_open_text(written, scenario.compiled),
    }
    return item | {key: value for key, value in optional.items() if value is not None}
