"""Checks of one decoded file that no single field shows: ids, signal types and what belongs to them.

Source: docs/scenarios.md, "Entry".
"""

import re
from typing import Final

import msgspec

from common.errors import CompileError
from common.units import clip
from supervisor.compiler.faults import Faults, compile_fault
from supervisor.compiler.language.blocks import BLOCKS, Entry, While, standing_alone
from supervisor.reading.messages import did_you_mean

IDENTIFIER: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def check_structure(entries: tuple[Entry, ...], scenario_name: str | None, faults: Faults) -> tuple[Entry, ...]:
    """Return the entries, those standing alone in which something does not fit together.

    Args:
        entries: the file's entries as written.
        scenario_name: the file's, or None.
        faults: takes every fault, in file order.
    """
    ids: set[str] = set()
    checked: list[Entry] = []
    for index, entry in enumerate(entries):
        with faults.entry(index) as fine:
            if entry.id is not None:
                with faults.at("id"):
                    _check_id(entry.id, ids)
                ids.add(entry.id)
            _check_blocks(index, entry, faults)
            if entry.pack is None and entry.name is None:
                with faults.at():
                    raise _fault(f"entry {index}: inline signal must have 'name'", hint="add `name:`")
            if entry.while_ is not None:
                with faults.at("while"):
                    _check_upstream(index, entry.while_)
        checked.append(entry if fine() else msgspec.structs.replace(standing_alone(entry), id=None))
    if scenario_name is None:
        for index, entry in enumerate(entries):
            if entry.while_ is not None and entry.while_.scenario_name is not None:
                with faults.entry(index), faults.at("while", "scenario_name"):
                    raise _fault(
                        f"entry {index}: cross-POST `while:` refs require body-level `scenario_name` on the scenario "
                        "file; add a top-level `scenario_name:` declaring this body's identity"
                    )
    return tuple(checked)


def _check_id(entry_id: str, ids: set[str]) -> None:
    if not IDENTIFIER.fullmatch(entry_id):
        raise _fault(
            f"entry id '{clip(entry_id)}' is invalid: must match [a-zA-Z_][a-zA-Z0-9_]*", hint=identifier_hint(entry_id)
        )
    if entry_id in ids:
        raise _fault(f"duplicate entry id: '{clip(entry_id)}'")


def identifier_hint(text: str, allowed: str = "") -> str | None:
    """Return a name close to `text` that can be one; `allowed` are characters that may stand in it besides."""
    near = re.sub(f"[^a-zA-Z0-9_{allowed}]", "_", text)
    near = f"_{near}" if near[:1].isdigit() else near
    return f"did you mean `{clip(near)}`?" if near.strip("_") and near != text else None


def _check_blocks(index: int, entry: Entry, faults: Faults) -> None:
    signal_type = entry.signal_type
    if signal_type not in BLOCKS:
        with faults.at("signal_type"):
            raise _fault(
                f"entry {index}: invalid signal_type '{clip(signal_type)}', must be one of: {', '.join(BLOCKS)}",
                hint=did_you_mean(signal_type, BLOCKS),
            )
        return
    expected = BLOCKS[signal_type]
    given = [name for name in ("generator", "log_generator", "distribution") if getattr(entry, name) is not None]
    if entry.pack is not None and given:
        with faults.at("pack"):
            raise _fault(f"entry {index}: must have either 'generator' or 'pack', not both")
        return
    with faults.at(*(given[:1] if expected not in given else ())):
        if entry.pack is None and expected not in given:
            raise _fault(
                f"entry {index}: must have either 'generator' (or 'distribution' for histogram/summary) or 'pack'",
                hint=f"{_PLURALS[signal_type]} take `{expected}`",
            )
    for foreign in given:
        if foreign != expected and expected in given:
            with faults.at(foreign):
                raise _fault(
                    f"entry {index}: signal_type '{signal_type}' must not have '{foreign}' field",
                    hint=f"{_PLURALS[signal_type]} take `{expected}`",
                )
    if entry.pack is not None and signal_type != "metrics":
        with faults.at("signal_type"):
            raise _fault(f"entry {index}: pack entries must have signal_type 'metrics'")


_PLURALS: Final = {"metrics": "metrics", "logs": "logs", "histogram": "histograms", "summary": "summaries"}


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


def _fault(message: str, hint: str | None = None) -> CompileError:
    return compile_fault("parse", message, hint=hint)
