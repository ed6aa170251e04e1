"""What the language has and this release does not run yet: refused at compile time, never ignored."""

from typing import Final

from common.specs import EncoderSpec, SinkSpec, kind_of
from common.units import clip
from supervisor.compiler.faults import Faults, compile_fault
from supervisor.compiler.language.blocks import Entry

NOT_YET_RUNNABLE: Final[dict[str, frozenset[str]]] = {
    "encoder": frozenset(),
    "sink": frozenset({"kafka"}),
}
"""Kinds of a block of an entry. The network-device kinds are refused where they are read."""


def check_available(entries: tuple[Entry, ...], faults: Faults) -> None:
    """Record every entry that uses something of `NOT_YET_RUNNABLE` (400)."""
    for index, entry in enumerate(entries):
        missing = missing_kind(entry.encoder, entry.sink)
        if missing:
            with faults.entry(index), faults.at(missing.partition(" ")[0], "type"):
                raise compile_fault(
                    "prepare", f"entry {index} ({clip(str(entry.name))}): {missing} is not available in this release"
                )


def missing_kind(encoder: EncoderSpec | None, sink: SinkSpec | None) -> str | None:
    """Return which of the two is of `NOT_YET_RUNNABLE`, in words; None when neither is."""
    for block, written in (("encoder", encoder), ("sink", sink)):
        if written is not None and kind_of(written) in NOT_YET_RUNNABLE[block]:
            return f"{block} type '{kind_of(written)}'"
    return None
