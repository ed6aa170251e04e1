"""What runs: a compiled scenario file with every default and unit resolved.

Offsets and lengths are integer nanoseconds of the scenario clock, whole microseconds as written. A plan is a value:
frozen, self-contained, sent to a worker as msgpack. Source: docs/architecture.md, "The life of a scenario".
"""

import math
from typing import Any, Literal

import msgspec

from common.restarts import OnRestart
from common.sharing import Isolation
from common.specs import (
    DistributionSpec,
    EncoderSpec,
    GeneratorSpec,
    LogTemplate,
    MetricType,
    OnSinkError,
    SignalType,
    SinkSpec,
    SpikeStrategy,
)


class PlanRecord(msgspec.Struct, frozen=True):
    """Base of everything a worker is sent."""


class Cycle(PlanRecord, frozen=True, kw_only=True):
    """A window of `for_ns` in every `every_ns`; 0 < for_ns < every_ns."""

    every_ns: int
    for_ns: int


class Burst(PlanRecord, frozen=True, kw_only=True):
    """The rate times `multiplier` at the beginning of the cycle."""

    cycle: Cycle
    multiplier: float


class Silence(PlanRecord, frozen=True, kw_only=True):
    """One silence [start_ns, end_ns) on the scenario clock."""

    start_ns: int
    end_ns: int


class RotatingLabel(PlanRecord, frozen=True, kw_only=True):
    """A label whose value at tick k has the index i = k mod cardinality: `values[i]`, or `prefix` and the decimal i."""

    key: str
    cardinality: int
    prefix: str
    values: tuple[str, ...] | None = None


class LabelSpike(PlanRecord, frozen=True, kw_only=True):
    """A rotating label that is present at the beginning of `cycle` only.

    The value of index i is `prefix` and the decimal i, or 16 hex digits of `mix(seed ^ i)` under `random`.
    """

    key: str
    cycle: Cycle
    cardinality: int
    prefix: str
    strategy: SpikeStrategy
    seed: int


MAX_LABEL_SPIKES = 32
"""Spikes per entry: which of them are active at a tick travels as one bit each."""


class ReplayColumn(PlanRecord, frozen=True, kw_only=True, tag_field="type", tag="csv_replay"):
    """One column of a file, read when it was posted: a value per tick, repeated or held at the last.

    Attributes:
        values: float64, little endian; an absent sample is NaN, and always lies in one of the entry's `gap_windows`.
    """

    values: bytes
    repeat: bool


class ReplayRows(PlanRecord, frozen=True, kw_only=True, tag_field="type", tag="log_replay"):
    """The rows of a file as log events, column by column; a row per tick, repeated or held at the last.

    Attributes:
        severities: one byte a row, the index in `SEVERITIES`.
        messages: one per row.
        fields: name to one value per row, None where the row does not have the field.
    """

    severities: bytes
    messages: tuple[str, ...]
    fields: dict[str, tuple[str | None, ...]]
    repeat: bool


SEVERITIES = ("trace", "debug", "info", "warn", "error", "fatal")
"""In ascending order."""


class Histogram(PlanRecord, frozen=True, kw_only=True, tag_field="type", tag="histogram"):
    """Observations of every tick, counted in buckets.

    Attributes:
        buckets: upper bounds, finite, > 0 and ascending; the one of infinity is not listed.
        mean_shift_per_sec: added to every observation, times the seconds since the start.
    """

    distribution: DistributionSpec
    buckets: tuple[float, ...]
    observations_per_tick: int
    mean_shift_per_sec: float
    seed: int


class Summary(PlanRecord, frozen=True, kw_only=True, tag_field="type", tag="summary"):
    """Observations of every tick, summed up in quantiles, each in (0, 1) and ascending."""

    distribution: DistributionSpec
    quantiles: tuple[float, ...]
    observations_per_tick: int
    mean_shift_per_sec: float
    seed: int


GeneratorPlan = GeneratorSpec | ReplayColumn | LogTemplate | ReplayRows | Histogram | Summary
"""What gives an entry its values (metrics), its events (logs) or its observations (histogram, summary)."""


class TickShare(PlanRecord, frozen=True, kw_only=True):
    """Which ticks of an entry belong to a segment: those k with `k mod period` among the residues.

    Attributes:
        period: > 0.
        residues: int32, little endian, at least one, ascending, each below `period`.
    """

    period: int
    residues: bytes

    @property
    def part(self) -> float:
        """The part of all ticks that it is, in (0, 1]."""
        return len(self.residues) / 4 / self.period


class GatePlan(PlanRecord, frozen=True, kw_only=True):
    """Emit while the newest value of another entry is below or above a threshold.

    Attributes:
        scenario_name: the body whose entry is watched; None for an entry of the same body.
        ref: id of the watched entry.
        op: strict comparison of its value with `value`; equal and NaN are closed.
        open_delay_ns: how long an opening must last before it counts.
        close_delay_ns: how long a closing must last before it counts.
        snap_to: value of the last sample of every series when the gate has closed, or None.
        stale_marker: False suppresses the marker that a remote-write sink sends otherwise.
        if_unresolved: what to do while the other body does not run.
        upstream: the watched entry whole, whose values are computed beside the gate instead of being asked for; None
            where they are.
    """

    scenario_name: str | None
    ref: str
    op: Literal["<", ">"]
    value: float
    open_delay_ns: int = 0
    close_delay_ns: int = 0
    snap_to: float | None = None
    stale_marker: bool | None = None
    if_unresolved: Literal["open", "closed", "pending"] = "pending"
    upstream: "EntryPlan | None" = None


class FileAccess(PlanRecord, frozen=True):
    """Where the files of an entry may be; all paths are absolute and without links.

    Attributes:
        roots: directories that hold them; empty allows every place.
        protected: directories in whose trees nothing is written all the same.
        hidden: directories in whose trees nothing is read or written all the same.
    """

    roots: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


WAKE_SPACING_NS = 1_000_000
"""At 10 000 ticks per second the median is half a millisecond late, at a third of the processor time that a wake-up
every 250 µs takes."""

_SLOW_WAKE_SPACING_NS = 1_950_000
_SLOW_EVENTS_PER_SEC = 2000
_MOST_EVENTS_PER_SEC = 1e15
_NS_PER_SEC = 1_000_000_000


def gathering_ns(rate: float) -> int:
    """Return how long after a tick its wake-up comes, at so many events per second: at the last tick within a spacing.

    At 1 000 per second every other tick is on time and those between are 1 ms late, for 500 wake-ups a second.
    """
    rate = min(rate, _MOST_EVENTS_PER_SEC)
    spacing_ns = _SLOW_WAKE_SPACING_NS if rate <= _SLOW_EVENTS_PER_SEC else WAKE_SPACING_NS
    return math.ceil(spacing_ns * rate // _NS_PER_SEC * _NS_PER_SEC / rate)


class ValueOrigin(PlanRecord, frozen=True):
    """Where the values of an entry that was changed while it ran go on.

    Attributes:
        tick: the number of the first tick that has them.
        place: how far its generator has come by then; what that is stands in `worker.generators`, kind by kind.
    """

    tick: int = 0
    place: float = 0.0


class EntryPlan(PlanRecord, frozen=True, kw_only=True):
    """One entry, ready to run.

    Attributes:
        name: metric name; any text for logs.
        rate: events per second at the base rate, finite and > 0.
        duration_ns: length of the run from its own start, its history included; None runs until stopped.
        backfill_ns: how long before its own start its history begins, which is made at full speed.
        phase_offset_ns: wait between the body's common start instant and this entry's start.
        anchor_ns: wall-clock instant (ns since the epoch) that stands for the entry's start in stamps, or None for
            the real one; `shift_ns` is added to it.
        generator: of the kind that `signal_type` needs.
        labels: static labels in ascending key order.
        metric_type: as written, or None; `common/series.py` says what it is then.
        help: what the metric is about, for receivers that want to know.
        gate: when to emit, or None for always.
        files: where the sink may write.
        isolation: in which kind of process it runs; None as the daemon is told.
        on_restart: what becomes of it when the daemon comes back; None as the daemon is told.
        gathering_ns: how long after a tick its wake-up comes, together with those that follow it by then.
        share: which of its ticks are fired; None for all.
        origin: where the values go on; the default for one that was not changed while it ran.
        first_rate: the rate that it was launched with; None where that is `rate`.
        digest: whether a digest of its events is made.
    """

    id: str | None
    signal_type: SignalType = "metrics"
    name: str
    rate: float
    duration_ns: int | None
    backfill_ns: int = 0
    phase_offset_ns: int = 0
    anchor_ns: int | None = None
    shift_ns: int = 0
    generator: GeneratorPlan
    jitter: float = 0.0
    jitter_seed: int = 0
    labels: dict[str, str]
    metric_type: MetricType | None = None
    help: str = ""
    dynamic_labels: tuple[RotatingLabel, ...] = ()
    cardinality_spikes: tuple[LabelSpike, ...] = ()
    gaps: Cycle | None = None
    gap_windows: tuple[Silence, ...] = ()
    bursts: Burst | None = None
    encoder: EncoderSpec
    sink: SinkSpec
    on_sink_error: OnSinkError = "warn"
    gate: GatePlan | None = None
    files: FileAccess = FileAccess()
    isolation: Isolation | None = None
    on_restart: OnRestart | None = None
    gathering_ns: int = 0
    share: TickShare | None = None
    digest: bool = False
    origin: ValueOrigin = ValueOrigin()
    first_rate: float | None = None

    @property
    def launch_rate(self) -> float:
        """The rate that it was launched with: that of the rows of a recording, and the one that counters began at."""
        return self.rate if self.first_rate is None else self.first_rate

    @property
    def own_rate(self) -> float:
        """Events per second at the base rate that are fired here."""
        return self.rate if self.share is None else self.rate * self.share.part


def without_recording(plan: EntryPlan) -> EntryPlan:
    """Return `plan` without the data of a replay, for those that do not generate."""
    generator = plan.generator
    if isinstance(generator, ReplayColumn):
        generator = msgspec.structs.replace(generator, values=b"")
    elif isinstance(generator, ReplayRows):
        generator = msgspec.structs.replace(generator, severities=b"", messages=(), fields={})
    else:
        return plan
    return msgspec.structs.replace(plan, generator=generator)


class SegmentOf(PlanRecord, frozen=True, kw_only=True):
    """What a segment has of its body.

    Attributes:
        index: which one it is, from 1.
        count: how many there are.
        version: of the rule by which series are dealt.
        series: its series: label sets of entries; one whose ticks are dealt counts in each segment.
        total_series: those of the whole body.
        rate: its events per second at the base rates.
        total_rate: those of the whole body.
        fingerprint: of the whole body, recordings and packs included: the same wherever it makes the same data.
    """

    index: int
    count: int
    version: int
    series: int
    total_series: int
    rate: float
    total_rate: float
    fingerprint: str


class PlannedEntry(PlanRecord, frozen=True, kw_only=True):
    """An entry as the supervisor keeps it.

    Attributes:
        plan: what the worker gets.
        config: the entry as clients see it in `GET /scenarios/{id}`, secrets masked.
        clock_group: the group the entry names; a label only, entries of one body always start together.
        clock_group_auto: whether the group was named by the compiler, for entries that `after` connects.
        index: the compiled entry that it comes from; several may come from one that replays a file.
        place: its number in the whole body, from 0.
        segment: which part of its body it belongs to, such as `2/7`; None where the body was not asked for in parts.
        start_at_ns: the instant that it was asked to start at, ns since the epoch; None for at once.
    """

    plan: EntryPlan
    config: dict[str, Any]
    clock_group: str | None = None
    clock_group_auto: bool = False
    index: int = 0
    place: int = 0
    segment: str | None = None
    start_at_ns: int | None = None


class Plan(PlanRecord, frozen=True, kw_only=True):
    """A whole body: its entries are launched together or not at all.

    Attributes:
        entries: in the order of the body; none when it is a segment that has nothing of it.
        origin: who has brought it: a kind of request, or a file of the catalog.
        segment: which part of the body it is; None for a whole body that was not asked for in parts.
        start_at_ns: when its entries start, ns since the epoch; None for at once.
        resumes: whether it was started elsewhere at that instant, and goes on here with the ticks of now.
    """

    scenario_name: str | None
    entries: tuple[PlannedEntry, ...]
    origin: str = ""
    segment: SegmentOf | None = None
    start_at_ns: int | None = None
    resumes: bool = False
