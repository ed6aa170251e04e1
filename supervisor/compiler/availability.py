"""What the language has and this release does not run yet: refused at compile time, never ignored."""

from typing import Final

from common.specs import kind_of
from common.units import clip
from supervisor.compiler.faults import compile_fault
from supervisor.compiler.language import Entry

NOT_YET_RUNNABLE: Final[dict[str, frozenset[str]]] = {
    "signal_type": frozenset({"logs", "histogram", "summary"}),
    "generator": frozenset({"csv_replay", "flap", "saturation", "leak", "degradation", "steady", "spike_event"}),
    "encoder": frozenset({"influx_lp", "syslog", "remote_write", "otlp"}),
    "sink": frozenset({"remote_write", "kafka", "otlp_grpc"}),
    "field": frozenset({"pack", "after", "while", "delay"}),
}
"""Kinds per block, and clauses. The network-device kinds are refused where they are read (`kinds.py`)."""


def check_available(entries: tuple[Entry, ...]) -> None:
    """Raise CompileError (400) for the first entry that uses something of `NOT_YET_RUNNABLE`."""
    for index, entry in enumerate(entries):
        missing = _first_missing(entry)
        if missing:
            label = clip(entry.name or entry.id or entry.pack or "<unnamed>")
            raise compile_fault("prepare", f"entry {index} ({label}): {missing} is not available in this release")


def _first_missing(entry: Entry) -> str | None:
    if entry.signal_type in NOT_YET_RUNNABLE["signal_type"]:
        return f"signal_type '{entry.signal_type}'"
    for block in ("generator", "encoder", "sink"):
        written = getattr(entry, block)
        if written is not None and kind_of(written) in NOT_YET_RUNNABLE[block]:
            return f"{block} type '{kind_of(written)}'"
    clauses = {"pack": entry.pack, "after": entry.after, "while": entry.while_, "delay": entry.delay}
    used = (name for name, clause in clauses.items() if clause is not None and name in NOT_YET_RUNNABLE["field"])
    return next((f"'{name}'" for name in used), None)
