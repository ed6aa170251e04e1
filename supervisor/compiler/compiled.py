"""What compiling yields: the entries of a body, everything inherited folded in, nothing checked against run time yet.

Source: docs/architecture.md, "The life of a scenario".
"""

from typing import Final

import msgspec

from common.errors import CompileError, DecodeError
from common.restarts import OnRestart
from common.segments import Split
from common.sharing import Isolation
from common.specs import (
    DistributionSpec,
    EncoderSpec,
    LogTemplate,
    MetricType,
    OnSinkError,
    SignalType,
    SinkSpec,
)
from common.units import clip
from supervisor.compiler.faults import Faults, compile_fault, reworded
from supervisor.compiler.language.blocks import (
    After,
    Bursts,
    CardinalitySpike,
    Delay,
    DynamicLabel,
    Entry,
    Gaps,
    GapWindow,
    While,
)
from supervisor.compiler.language.kinds import WrittenGenerator, WrittenLogGenerator
from supervisor.compiler.language.log_events import MAX_EVENT_BYTES, longest_event_bytes
from supervisor.compiler.origin import Origin


class CompiledEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry; the fields that stand first are in the order in which clients see them.

    Attributes:
        phase_offset: the wait before the start, rewritten to whole milliseconds.
        clock_group_auto: whether the compiler chose the group.
        after: the clause that `phase_offset` was computed from.
    """

    signal_type: SignalType
    name: str
    rate: float
    duration: str | None
    labels: dict[str, str]
    encoder: EncoderSpec
    sink: SinkSpec
    generator: WrittenGenerator | None = None
    log_generator: WrittenLogGenerator | None = None
    distribution: DistributionSpec | None = None
    buckets: tuple[float, ...] | None = None
    quantiles: tuple[float, ...] | None = None
    observations_per_tick: int | None = None
    mean_shift_per_sec: float | None = None
    seed: int | None = None
    id: str | None = None
    start_time: str | None = None
    dynamic_labels: tuple[DynamicLabel, ...] | None = None
    jitter: float | None = None
    jitter_seed: int | None = None
    gaps: Gaps | None = None
    gap_windows: tuple[GapWindow, ...] | None = None
    bursts: Bursts | None = None
    cardinality_spikes: tuple[CardinalitySpike, ...] | None = None
    phase_offset: str | None = None
    clock_group: str | None = None
    clock_group_auto: bool = False
    after: After | None = None
    while_: While | None = msgspec.field(name="while", default=None)
    delay: Delay | None = None
    on_sink_error: OnSinkError | None = None
    isolation: Isolation | None = None
    on_restart: OnRestart | None = None
    backfill: str | None = None
    split: Split | None = None
    digest: bool | None = None
    metric_type: MetricType | None = None
    help: str | None = None


MAX_LABEL_BYTES: Final = 65_536
"""Of name and labels of one entry, at their longest: the label text stands in every line."""

_RESERVED_LABELS: Final = {"histogram": "le", "summary": "quantile"}
_INTERNAL_LABEL: Final = "__"
"""How labels begin that Prometheus keeps for itself; readers refuse a whole scrape with one of them. Source: Prometheus
data model, "Metric names and labels"."""

_SHARED: Final = frozenset(Entry.__struct_fields__) & frozenset(CompiledEntry.__struct_fields__)


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A body that compiles.

    Attributes:
        scenario_name: the body's identity, taken while any of its entries is active.
        entries: at least one, packs expanded.
        origin: where they stand in the text.
    """

    scenario_name: str | None
    entries: tuple[CompiledEntry, ...]
    origin: Origin


def compiled_entry(index: int, entry: Entry, faults: Faults, *, clock_group_auto: bool) -> CompiledEntry:
    """Return the record of an entry with everything inherited.

    Args:
        index: of the entry.
        entry: everything inherited.
        faults: takes texts beyond their bounds, and labels that would overwrite one of the signal's own (400).
        clock_group_auto: whether the compiler chose the group.
    """
    values = {name: getattr(entry, name) for name in _SHARED}
    compiled = CompiledEntry(**values | {"labels": entry.labels or {}, "clock_group_auto": clock_group_auto})

    def word(error: DecodeError) -> CompileError:
        return reworded(error, compile_fault("prepare", f"entry {index} ({clip(compiled.name)}): {error}"))

    with faults.entry(index, word):
        for check in (check_label_bytes, _check_reserved, _check_event_bytes):
            faults.try_at((), check, compiled)
    return compiled


def check_label_bytes(entry: CompiledEntry) -> None:
    """Raise DecodeError when name and labels go beyond `MAX_LABEL_BYTES`."""
    texts = [entry.name, *entry.labels, *entry.labels.values()]
    for spike in entry.cardinality_spikes or ():
        texts += [spike.label, spike.prefix or spike.label]
    for label in entry.dynamic_labels or ():
        texts.append(label.key)
        if isinstance(label.values, tuple):
            texts.append(max(label.values, key=len, default=""))
        else:
            texts.append(label.prefix if isinstance(label.prefix, str) else label.key)
    size = sum(len(text.encode()) for text in texts)
    if size > MAX_LABEL_BYTES:
        raise DecodeError(f"name and labels take {size} bytes, at most {MAX_LABEL_BYTES} are accepted", at=("labels",))


def _check_reserved(entry: CompiledEntry) -> None:
    if entry.signal_type == "logs":
        return
    for key in entry.labels:
        why = _reserved_for(entry.signal_type, key)
        if why is not None:
            raise DecodeError(f"a label may not be named '{key}', which {why}", at=("labels", key), on_key=True)
    rotating = [("dynamic_labels", place, label.key) for place, label in enumerate(entry.dynamic_labels or ())]
    rotating += [
        ("cardinality_spikes", place, spike.label) for place, spike in enumerate(entry.cardinality_spikes or ())
    ]
    for block, place, key in rotating:
        why = _reserved_for(entry.signal_type, key)
        if why is not None:
            raise DecodeError(f"a rotating label may not be named '{key}', which {why}", at=(block, place))


def _reserved_for(signal_type: str, key: str) -> str | None:
    """Return what a label is reserved for; None when anybody may use it."""
    if key == _RESERVED_LABELS.get(signal_type):
        return f"{signal_type} lines carry"
    return "Prometheus keeps for itself" if key.startswith(_INTERNAL_LABEL) else None


def _check_event_bytes(entry: CompiledEntry) -> None:
    if isinstance(entry.log_generator, LogTemplate):
        size = longest_event_bytes(entry.log_generator)
        if size > MAX_EVENT_BYTES:
            raise DecodeError(f"a log event may take {size} bytes, at most {MAX_EVENT_BYTES} are accepted")
