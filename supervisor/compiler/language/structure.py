"""Checks of one decoded file that no single field shows: ids, signal types and what belongs to them.

Source: docs/scenarios.md, "Entry".
"""

import re
from typing import Final

from common.errors import CompileError
from common.units import clip
from supervisor.compiler.faults import compile_fault
from supervisor.compiler.language.blocks import Entry, While

IDENTIFIER: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
FAMILIES: Final = {
    "metrics": "generator",
    "logs": "log_generator",
    "histogram": "distribution",
    "summary": "distribution",
}
"""Signal type to the block that generates it."""


def check_structure(entries: tuple[Entry, ...], scenario_name: str | None) -> None:
    """Raise CompileError (400) for the first fault in file order.

    Args:
        entries: the file's entries as written.
        scenario_name: the file's, or None.
    """
    ids: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.id is not None:
            if not IDENTIFIER.fullmatch(entry.id):
                raise _fault(f"entry id '{clip(entry.id)}' is invalid: must match [a-zA-Z_][a-zA-Z0-9_]*")
            if entry.id in ids:
                raise _fault(f"duplicate entry id: '{clip(entry.id)}'")
            ids.add(entry.id)
        _check_families(index, entry)
        if entry.pack is None and entry.name is None:
            raise _fault(f"entry {index}: inline signal must have 'name'")
        if entry.while_ is not None:
            _check_upstream(index, entry.while_)
    if scenario_name is None:
        for index, entry in enumerate(entries):
            if entry.while_ is not None and entry.while_.scenario_name is not None:
                raise _fault(
                    f"entry {index}: cross-POST `while:` refs require body-level `scenario_name` on the scenario "
                    "file; add a top-level `scenario_name:` declaring this body's identity"
                )


def _check_families(index: int, entry: Entry) -> None:
    signal_type = entry.signal_type
    if signal_type not in FAMILIES:
        raise _fault(f"entry {index}: invalid signal_type '{clip(signal_type)}', must be one of: {', '.join(FAMILIES)}")
    given = [name for name in ("generator", "log_generator", "distribution") if getattr(entry, name) is not None]
    if entry.pack is not None and given:
        raise _fault(f"entry {index}: must have either 'generator' or 'pack', not both")
    if entry.pack is None and FAMILIES[signal_type] not in given:
        raise _fault(f"entry {index}: must have either 'generator' (or 'distribution' for histogram/summary) or 'pack'")
    for foreign in given:
        if foreign != FAMILIES[signal_type]:
            raise _fault(f"entry {index}: signal_type '{signal_type}' must not have '{foreign}' field")
    if entry.pack is not None and signal_type != "metrics":
        raise _fault(f"entry {index}: pack entries must have signal_type 'metrics'")


def _check_upstream(index: int, clause: While) -> None:
    if clause.if_unresolved is not None and clause.scenario_name is None:
        raise _fault(
            f"entry {index}: `while.if_unresolved` requires `while.scenario_name` to be set; `if_unresolved` only "
            "applies to cross-POST `while:` references"
        )
    if clause.scenario_name is not None and "." in clause.ref:
        raise _fault(
            f"entry {index}: cross-POST `while.ref` '{clip(clause.ref)}' targets a pack sub-signal; cross-POST refs "
            "cannot target pack sub-signals in v1, use the top-level entry id"
        )


def _fault(message: str) -> CompileError:
    return compile_fault("parse", message)
