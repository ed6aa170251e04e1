"""When each entry starts after the body's common instant. Source: scenario format, section 14."""

import msgspec

from common.errors import DurationError
from common.units import clip, duration_or_zero_us, number_text, round_half_away
from supervisor.compiler.faults import compile_fault
from supervisor.compiler.language import Entry


def resolve_offsets(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the entries with `phase_offset` as the wait that is run; an entry without a wait keeps what it had.

    Raises:
        CompileError: 400 for a text that is not a duration.
    """
    return tuple(_with_offset(entry) for entry in entries)


def _with_offset(entry: Entry) -> Entry:
    if entry.phase_offset is None:
        return entry
    try:
        offset_secs = duration_or_zero_us(entry.phase_offset) / 1e6
    except DurationError as exc:
        subject = entry.id or f"<anonymous:{entry.name}>"
        raise compile_fault(
            "compile_after",
            f"entry '{clip(subject)}': invalid duration '{clip(entry.phase_offset)}' in phase_offset: "
            f"configuration error: {exc}",
        ) from exc
    return msgspec.structs.replace(entry, phase_offset=offset_text(offset_secs)) if offset_secs else entry


def offset_text(seconds: float) -> str:
    """Return an offset as a duration text of whole milliseconds, rounded half away from zero, in the largest unit."""
    milliseconds = round_half_away(seconds * 1000)
    whole, rest = divmod(milliseconds, 1000)
    if rest:
        return f"{number_text(milliseconds / 1000)}s"
    if whole and whole % 3600 == 0:
        return f"{whole // 3600}h"
    return f"{whole // 60}m" if whole and whole % 60 == 0 else f"{whole}s"
