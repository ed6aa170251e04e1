"""Pack entries to one entry for each metric of the pack. Source: docs/scenarios.md, "Packs"."""

import msgspec

from common.errors import CompileError, DecodeError
from common.specs import Constant
from common.units import clip
from supervisor.compiler.faults import Faults, compile_fault, reworded
from supervisor.compiler.language.blocks import MAX_ENTRIES, Entry, Override, standing_alone
from supervisor.compiler.language.normalize import check_clauses
from supervisor.compiler.language.packfile import PackFile, PackMetric, Selectors
from supervisor.compiler.packs.resolver import Resolver
from supervisor.reading.messages import Steps, did_you_mean


def expand(
    entries: tuple[Entry, ...], default_labels: dict[str, str], resolver: Resolver, faults: Faults
) -> list[tuple[int, Entry]]:
    """Return the entries with packs expanded in place, each with the index of the one that it comes from.

    Args:
        entries: everything inherited but, in pack entries, the labels.
        default_labels: those of `defaults`.
        resolver: finds the packs.
        faults: takes packs that cannot be used, overrides without their metric, ids twice, too many entries (400).
    """
    expanded: list[tuple[int, Entry]] = []
    owners: dict[str, str] = {}
    for index, entry in enumerate(entries):
        with faults.entry(index) as fine:
            signals = _expanded(index, entry, default_labels, resolver, owners)
        if not fine():
            signals = [standing_alone(entry)]
        expanded += [(index, signal) for signal in signals]
        if len(expanded) > MAX_ENTRIES:
            with faults.entry(index):
                raise _fault(f"the body expands to more than {MAX_ENTRIES} entries")
            break
    return expanded


def _expanded(
    index: int, entry: Entry, default_labels: dict[str, str], resolver: Resolver, owners: dict[str, str]
) -> list[Entry]:
    """Return the entries that one becomes.

    Args:
        index: of the entry.
        entry: the entry.
        default_labels: as `expand` has them.
        resolver: finds the pack.
        owners: who has which id; those of this entry are added.
    """
    if entry.pack is None:
        if entry.id is not None:
            _register(owners, entry.id, f"inline entry '{entry.id}'")
        return [entry]
    try:
        pack = resolver.pack(entry.pack)
    except DecodeError as exc:
        raise reworded(exc, _fault(str(exc), at=("pack",))) from exc
    try:
        overrides = _overrides_by_selector(entry.overrides or {}, pack)
    except DecodeError as exc:
        raise reworded(exc, _fault(str(exc))) from exc
    signals: list[Entry] = []
    said = f"pack '{clip(pack.name)}'"
    if entry.id is None:
        entry_id = f"{pack.name}_{index}"
        owner = f"pack entry at index {index} (auto-generated id '{clip(entry_id)}' from {said})"
    else:
        entry_id = entry.id
        owner = f"pack entry '{entry_id}' (user-provided id)"
    _register(owners, entry_id, owner)
    for place, metric in enumerate(pack.metrics or ()):
        override = overrides.get(metric.selector, Override())
        signal = _signal(entry, entry_id, pack, metric, override, default_labels)
        _register(
            owners,
            str(signal.id),
            f"pack sub-signal '{clip(str(signal.id))}' ({said}, metric '{clip(metric.name)}' at index {place})",
        )
        check_clauses(signal, str(signal.id))
        signals.append(signal)
    return signals


def _overrides_by_selector(overrides: dict[str, Override], pack: PackFile) -> dict[str, Override]:
    said = f"pack '{clip(pack.name)}'"
    if not pack.metrics:
        raise DecodeError(f"{said} contains no metrics")
    selectors = Selectors(pack)
    keys: dict[str, str] = {}
    for key in sorted(overrides):
        metric = selectors.find(key)
        if metric is None and key in selectors.sharing:
            sharing = selectors.sharing[key]
            raise DecodeError(
                f"override selector '{clip(key)}' is ambiguous in {said}: that name is shared by {len(sharing)} "
                f"metrics; address one by id — {', '.join(sharing)}",
                at=("overrides", key),
                on_key=True,
            )
        if metric is None:
            contained = ", ".join(metric.selector for metric in pack.metrics)
            raise DecodeError(
                f"override references unknown metric '{clip(key)}'; {said} contains: {contained}",
                at=("overrides", key),
                on_key=True,
                hint=did_you_mean(key, [metric.selector for metric in pack.metrics]),
            )
        if metric.selector in keys:
            raise DecodeError(
                f"override keys '{clip(keys[metric.selector])}' and '{clip(key)}' both address metric "
                f"'{metric.selector}' in {said}",
                at=("overrides", key),
                on_key=True,
            )
        keys[metric.selector] = key
    return {selector: overrides[key] for selector, key in keys.items()}


def _signal(
    entry: Entry,
    entry_id: str,
    pack: PackFile,
    metric: PackMetric,
    override: Override,
    default_labels: dict[str, str],
) -> Entry:
    layers = (default_labels, pack.shared_labels, metric.labels, entry.labels, override.labels)
    labels: dict[str, str] = {}
    for layer in layers:
        labels |= layer or {}
    return msgspec.structs.replace(
        entry,
        id=f"{entry_id}.{metric.selector}",
        name=metric.name,
        generator=override.generator or metric.generator or Constant(value=0.0),
        labels=labels,
        after=override.after or entry.after,
        while_=override.while_ or entry.while_,
        delay=override.delay or entry.delay,
        pack=None,
        overrides=None,
    )


def _register(owners: dict[str, str], entry_id: str, owner: str) -> None:
    if entry_id in owners:
        raise _fault(
            f"duplicate entry id '{clip(entry_id)}' after pack expansion: {owners[entry_id]} conflicts with {owner}"
        )
    owners[entry_id] = owner


def _fault(message: str, at: Steps = ()) -> CompileError:
    return compile_fault("expand", message, at=at)
