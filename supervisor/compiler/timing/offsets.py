"""When each entry starts after the body's common instant, and which entries share a clock group.

`after` is resolved here for good: at run time there are only offsets. Source: docs/scenarios.md, "After".
"""

from typing import NamedTuple

import msgspec

from common.errors import CompileError, DecodeError, DurationError
from common.units import LONGEST_NS, clip, duration_or_zero_us, duration_secs, number_text, round_half_away
from supervisor.compiler.faults import Faults, compile_fault, reworded
from supervisor.compiler.language.blocks import After, Entry
from supervisor.compiler.timing.crossing import crossing_secs
from supervisor.compiler.timing.references import References, subject

_LONGEST_SECS = LONGEST_NS / 1e9


class Timed(NamedTuple):
    """An entry with its whole wait as `phase_offset` and its clock group, chosen by the compiler or not."""

    entry: Entry
    clock_group_auto: bool


def resolve_timing(entries: tuple[Entry, ...], scenario_name: str | None, faults: Faults) -> list[Timed]:
    """Return the entries with offsets and clock groups; one without a wait keeps the offset that it had.

    Args:
        entries: of the file, packs expanded.
        scenario_name: the file's own.
        faults: takes references, offsets and crossings that cannot be resolved (400).
    """
    references = References(entries, scenario_name, faults)
    own_secs = [0.0] * len(entries)
    for index, entry in enumerate(entries):
        with faults.entry(index), faults.at("phase_offset") as fine:
            own_secs[index] = _own_offset_secs(entry)
        if not fine():
            entries = (*entries[:index], msgspec.structs.replace(entry, phase_offset=None), *entries[index + 1 :])
    total_secs = list(own_secs)
    for index in references.order:
        entry, target = entries[index], references.after(index)
        if entry.after is not None and target is not None:
            with faults.entry(index), faults.at("after"):
                crossing = _crossing_secs(entry, entry.after, entries[target])
                delay = _delay_secs(entry, entry.after)
                total_secs[index] = own_secs[index] + total_secs[target] + crossing + delay
                if total_secs[index] > _LONGEST_SECS:
                    total_secs[index] = 0.0
                    raise _fault(
                        f"entry '{subject(entry)}': the phase_offset that follows from `after:` exceeds 146 years"
                    )
    groups = _clock_groups(entries, [references.after(index) for index in range(len(entries))], faults)
    return [_timed(entry, total, group) for entry, total, group in zip(entries, total_secs, groups, strict=True)]


def offset_text(seconds: float) -> str:
    """Return an offset of `seconds` >= 0, rounded half up to milliseconds, as a duration text; zero is `0s`."""
    milliseconds = round_half_away(seconds * 1000)
    whole, rest = divmod(milliseconds, 1000)
    if rest:
        return f"{number_text(milliseconds / 1000)}s"
    if whole and whole % 3600 == 0:
        return f"{whole // 3600}h"
    return f"{whole // 60}m" if whole and whole % 60 == 0 else f"{whole}s"


def _timed(entry: Entry, total_secs: float, group: tuple[str | None, bool]) -> Timed:
    offset = offset_text(total_secs) if entry.after is not None or total_secs != 0 else entry.phase_offset
    name, chosen = group
    return Timed(msgspec.structs.replace(entry, phase_offset=offset, clock_group=name), chosen)


def _own_offset_secs(entry: Entry) -> float:
    if entry.phase_offset is None:
        return 0.0
    try:
        return 0.0 if duration_or_zero_us(entry.phase_offset) == 0 else duration_secs(entry.phase_offset)
    except DurationError as exc:
        raise _bad_duration(entry, entry.phase_offset, "phase_offset", exc) from exc


def _crossing_secs(entry: Entry, clause: After, target: Entry) -> float:
    if target.signal_type != "metrics" or target.generator is None or target.rate is None:
        raise _fault(
            f"entry '{subject(entry)}': after.ref '{clip(clause.ref)}' resolves to a {target.signal_type} signal; only "
            "metrics signals can be `after` targets"
        )
    try:
        return crossing_secs(target.generator, target.rate, clause)
    except DecodeError as exc:
        raise reworded(exc, _fault(f"entry '{subject(entry)}': {exc}")) from exc


def _delay_secs(entry: Entry, clause: After) -> float:
    if clause.delay is None:
        return 0.0
    try:
        return duration_secs(clause.delay)
    except DurationError as exc:
        raise _bad_duration(entry, clause.delay, "after.delay", exc) from exc


def _clock_groups(entries: tuple[Entry, ...], after: list[int | None], faults: Faults) -> list[tuple[str | None, bool]]:
    """Return the group of each entry, and whether it was chosen here: one for all that `after` connects."""
    component = list(range(len(entries)))
    for index, target in enumerate(after):
        if target is not None:
            old, new = component[index], component[target]
            component = [new if member == old else member for member in component]
    groups: dict[int, tuple[str | None, bool]] = {}
    for number in set(component):
        members = [entry for entry, own in zip(entries, component, strict=True) if own == number]
        groups[number] = None, False
        with faults.entry(component.index(number)), faults.at("clock_group"):
            groups[number] = _group_of(members)
    return [groups[number] for number in component]


def _group_of(members: list[Entry]) -> tuple[str | None, bool]:
    if len(members) == 1:
        return members[0].clock_group, False
    names = sorted({member.clock_group for member in members if member.clock_group})
    if not names:
        return f"chain_{min(member.id for member in members if member.id is not None)}", True
    if len(names) > 1:
        (first, second) = (next(member for member in members if member.clock_group == name) for name in names[:2])
        raise _fault(
            f"conflicting clock_group in dependency chain: entry '{subject(first)}' has clock_group "
            f"'{clip(names[0])}', entry '{subject(second)}' has clock_group '{clip(names[1])}'"
        )
    return names[0], False


def _bad_duration(entry: Entry, text: str, field: str, cause: DurationError) -> CompileError:
    return _fault(f"entry '{subject(entry)}': invalid duration '{clip(text)}' in {field}: configuration error: {cause}")


def _fault(message: str) -> CompileError:
    return compile_fault("compile_after", message)
