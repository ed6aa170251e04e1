"""What compiling yields: the entries of a body, everything inherited folded in, nothing checked against run time yet.

Source: scenario format, section 18.
"""

from typing import Final

import msgspec

from common.specs import DistributionSpec, EncoderSpec, OnSinkError, SinkSpec
from common.units import clip
from supervisor.compiler.faults import compile_fault
from supervisor.compiler.kinds import WrittenGenerator, WrittenLogGenerator
from supervisor.compiler.language import (
    After,
    Bursts,
    CardinalitySpike,
    Delay,
    DynamicLabel,
    Entry,
    Gaps,
    GapWindow,
    MetricType,
    While,
)


class CompiledEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry; the fields that stand first are in the order in which clients see them.

    Attributes:
        phase_offset: the wait before the start, rewritten to whole milliseconds.
        after: the clause that `phase_offset` was computed from.
    """

    signal_type: str
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
    after: After | None = None
    while_: While | None = msgspec.field(name="while", default=None)
    delay: Delay | None = None
    on_sink_error: OnSinkError | None = None
    metric_type: MetricType | None = None
    help: str | None = None


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A body that compiles.

    Attributes:
        scenario_name: the body's identity, taken while any of its entries is active.
        entries: at least one, packs expanded.
    """

    scenario_name: str | None
    entries: tuple[CompiledEntry, ...]


MAX_LABEL_BYTES: Final = 65_536
"""Of name and labels of one entry, at their longest: the label text stands in every line."""

_SHARED: Final = frozenset(Entry.__struct_fields__) & frozenset(CompiledEntry.__struct_fields__)


def compiled_entry(index: int, entry: Entry) -> CompiledEntry:
    """Return the record of an entry with everything inherited.

    Raises:
        CompileError: 400 for labels beyond `MAX_LABEL_BYTES`.
    """
    compiled = CompiledEntry(**{name: getattr(entry, name) for name in _SHARED})
    size = _label_bytes(compiled)
    if size > MAX_LABEL_BYTES:
        raise compile_fault(
            "prepare",
            f"entry {index} ({clip(compiled.name)}): name and labels take {size} bytes, at most {MAX_LABEL_BYTES} "
            "are accepted",
        )
    return compiled


def _label_bytes(entry: CompiledEntry) -> int:
    texts = [entry.name, *entry.labels, *entry.labels.values()]
    for spike in entry.cardinality_spikes or ():
        texts += [spike.label, spike.prefix or spike.label]
    for label in entry.dynamic_labels or ():
        texts.append(label.key)
        if isinstance(label.values, tuple):
            texts.append(max(label.values, key=len, default=""))
        else:
            texts.append(label.prefix if isinstance(label.prefix, str) else label.key)
    return sum(len(text.encode()) for text in texts)
