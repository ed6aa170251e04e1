"""What the language has and this release does not run yet: refused at compile time, never ignored."""

from typing import Final

from common.specs import kind_of
from common.units import clip
from supervisor.compiler.faults import compile_fault
from supervisor.compiler.language import Entry

NOT_YET_RUNNABLE: Final[dict[str, frozenset[str]]] = {
    "encoder": frozenset({"remote_write", "otlp"}),
    "sink": frozenset({"remote_write", "kafka", "otlp_grpc"}),
}
"""Kinds of a block of an entry. The network-device kinds are refused where they are read."""


def check_available(entries: tuple[Entry, ...]) -> None:
    """Raise CompileError (400) for the first entry that uses something of `NOT_YET_RUNNABLE`."""
    for index, entry in enumerate(entries):
        missing = _first_missing(entry)
        if missing:
            raise compile_fault(
                "prepare", f"entry {index} ({clip(str(entry.name))}): {missing} is not available in this release"
            )


def _first_missing(entry: Entry) -> str | None:
    for block, kinds in NOT_YET_RUNNABLE.items():
        written = getattr(entry, block)
        if written is not None and kind_of(written) in kinds:
            return f"{block} type '{kind_of(written)}'"
    return None
