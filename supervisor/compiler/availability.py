"""What the language has and this release does not run yet: refused at compile time, never ignored."""

from typing import Final

from common.specs import kind_of
from common.units import clip
from supervisor.compiler.faults import compile_fault
from supervisor.compiler.kinds import LogCsvReplay
from supervisor.compiler.language import Entry

NOT_YET_RUNNABLE: Final[dict[str, frozenset[str]]] = {
    "generator": frozenset({"csv_replay", "flap", "template", "log_replay", "histogram", "summary"}),
    "encoder": frozenset({"influx_lp", "syslog", "remote_write", "otlp"}),
    "sink": frozenset({"remote_write", "kafka", "otlp_grpc"}),
}
"""Kinds as a plan names them. The network-device kinds are refused where they are read."""


def check_available(entries: tuple[Entry, ...]) -> None:
    """Raise CompileError (400) for the first entry that uses something of `NOT_YET_RUNNABLE`."""
    for index, entry in enumerate(entries):
        missing = _first_missing(entry)
        if missing:
            raise compile_fault(
                "prepare", f"entry {index} ({clip(str(entry.name))}): {missing} is not available in this release"
            )


def _first_missing(entry: Entry) -> str | None:
    kind, shown = _generator(entry)
    if kind in NOT_YET_RUNNABLE["generator"]:
        return shown
    for block in ("encoder", "sink"):
        written = getattr(entry, block)
        if written is not None and kind_of(written) in NOT_YET_RUNNABLE[block]:
            return f"{block} type '{kind_of(written)}'"
    return None


def _generator(entry: Entry) -> tuple[str, str]:
    """Return what generates the entry's values, as a plan names it and as the user wrote it."""
    if entry.generator is not None:
        return kind_of(entry.generator), f"generator type '{kind_of(entry.generator)}'"
    if entry.log_generator is not None:
        kind = "log_replay" if isinstance(entry.log_generator, LogCsvReplay) else kind_of(entry.log_generator)
        return kind, f"log_generator type '{kind_of(entry.log_generator)}'"
    return entry.signal_type, f"signal_type '{entry.signal_type}'"
