"""The version-2 scenario file: one frozen Struct per block, in the order that messages list fields.

Everything here reads in the direct regime, except where an annotation says otherwise. Bounds (`max_length`) keep one
body from filling the machine. Source: docs/scenarios.md, "Entry" and "Packs".
"""

from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from common.errors import DecodeError, DurationError
from common.plan import MAX_LABEL_SPIKES
from common.restarts import OnRestart
from common.segments import Split
from common.sharing import Isolation
from common.specs import (
    U32,
    U64,
    Constant,
    Duration,
    DurationOrZero,
    Exponential,
    LogTemplate,
    MetricType,
    OnSinkError,
    Positive,
    SignalType,
    Spec,
    SpikeStrategy,
    Template,
)
from common.units import clip, duration_or_zero_us
from supervisor.compiler.language.kinds import (
    DistributionConfig,
    EncoderConfig,
    GeneratorConfig,
    LogGeneratorConfig,
    SinkConfig,
)
from supervisor.reading.recording import Told

MAX_ENTRIES: Final = 512
"""Entries of one body, and scenarios that it expands to: each is a process."""

MAX_LABELS: Final = 128
MAX_DYNAMIC_LABELS: Final = 32
MAX_DYNAMIC_VALUES: Final = 100_000
MAX_BUCKETS: Final = 1_000
MAX_QUANTILES: Final = 1_000
MAX_OBSERVATIONS: Final = 10_000_000
"""Of a tick: about a second of drawing."""

MAX_GAP_WINDOWS: Final = 10_000
MAX_TAGS: Final = 100

LabelMap = Annotated[dict[str, str], Meta(max_length=MAX_LABELS)]
Operator = Literal["<", ">"]
FINITE: Final = Meta(description="finite number")
LongDuration = Annotated[str, Meta(description="duration, also in days as `7d`")]
Instant = Annotated[str, Meta(description="`now`, an RFC 3339 instant, or an offset as `-1h`")]
PositiveInteger = Annotated[U64, Meta(description="integer > 0")]
Fraction = Annotated[float, Meta(description="number in (0, 1)")]
ShorterThanEvery = Annotated[str, Meta(description="duration, below `every`")]
_TAGGED: Final = Meta(extra={"regime": "tagged"})
_LENIENT: Final = Meta(extra={"regime": "tagged", "lenient": True})


BLOCKS: Final = {
    "metrics": "generator",
    "logs": "log_generator",
    "histogram": "distribution",
    "summary": "distribution",
}
"""Signal type to the block that generates it."""

STAND_IN_BLOCKS: Final = {
    "metrics": Constant(value=0.0),
    "logs": LogTemplate(templates=(Template(message=""),)),
    "histogram": Exponential(rate=1.0),
    "summary": Exponential(rate=1.0),
}
"""What stands for a block that cannot be read."""

_STAND_INS: Final[dict[str, Any]] = {"name": "m", "rate": 1.0, "duration": "1s"}
"""What stands for other fields that would be missed."""


class Gaps(Spec, frozen=True, kw_only=True):
    """Silence for `for` at the tail of every `every`."""

    every: Duration
    for_: ShorterThanEvery = msgspec.field(name="for")


class GapWindow(Spec, frozen=True, kw_only=True):
    """One silence [at, at + for) after the entry's start."""

    at: DurationOrZero
    for_: Duration = msgspec.field(name="for")


class Bursts(Spec, frozen=True, kw_only=True):
    """The rate times `multiplier` for `for` at the beginning of every `every`."""

    every: Duration
    for_: ShorterThanEvery = msgspec.field(name="for")
    multiplier: Positive


class CardinalitySpike(Spec, frozen=True, kw_only=True):
    """A label with `cardinality` values, present for `for` at the beginning of every `every`."""

    label: str
    every: Duration
    for_: ShorterThanEvery = msgspec.field(name="for")
    cardinality: PositiveInteger
    strategy: SpikeStrategy = "counter"
    prefix: str | None = None
    seed: U64 | None = None


class DynamicLabel(Spec, frozen=True, kw_only=True):
    """A label that rotates with the tick: over `values`, or over `prefix` + 0 … `cardinality` - 1.

    `values` wins where both are given. A part that does not fit is UNSET, and missed only where it is needed.
    """

    key: str
    prefix: Annotated[str | None, _LENIENT] | UnsetType = None
    cardinality: Annotated[U64 | None, _LENIENT] | UnsetType = None
    values: Annotated[tuple[str, ...] | None, _LENIENT, Meta(max_length=MAX_DYNAMIC_VALUES)] | UnsetType = None

    def check(self) -> None:
        """Refuse a label that is neither a list nor a counter."""
        is_list = isinstance(self.values, tuple)
        if not is_list and (not isinstance(self.cardinality, int) or self.prefix is UNSET):
            raise DecodeError("data did not match any variant of untagged enum DynamicLabelStrategy")


class After(Spec, frozen=True, kw_only=True):
    """Start when the generator of `ref` crosses `value`, and `delay` later."""

    ref: str
    op: Operator
    value: Annotated[float, FINITE]
    delay: Duration | None = None


class While(Spec, frozen=True, kw_only=True):
    """Emit while the value of `ref` is below or above `value`; `scenario_name` names another body's entry."""

    ref: str
    op: Annotated[str, Meta(extra_json_schema={"enum": ["<", ">"]})]
    value: Annotated[float, FINITE]
    scenario_name: str | None = None
    if_unresolved: Literal["open", "closed", "pending"] | None = None

    def check(self) -> None:
        """Refuse every operator but the strict comparisons."""
        if self.op not in ("<", ">"):
            raise DecodeError(
                f"unsupported operator '{clip(self.op)}' on while: — only strict comparisons '<' and '>' are accepted",
                status=422,
                at=("op",),
            )


class DelayClose(Spec, frozen=True, kw_only=True):
    """How a gate closes: after `duration`, with one last sample `snap_to`, or with a stale marker."""

    duration: DurationOrZero | None = None
    snap_to: Annotated[float, FINITE] | None = None
    stale_marker: bool | None = None


class Delay(Spec, frozen=True, kw_only=True):
    """How long an edge of the gate must last before it counts."""

    open: DurationOrZero | None = None
    close: Annotated[str | DelayClose | None, _TAGGED] = None

    @property
    def closing(self) -> DelayClose:
        """The long form of `close`."""
        if isinstance(self.close, DelayClose):
            return self.close
        return DelayClose(duration=self.close)

    def check(self) -> None:
        """Refuse durations outside the grammar; zero needs no unit."""
        for field, text in (("open", self.open), ("close", self.closing.duration)):
            if text is not None:
                try:
                    duration_or_zero_us(text, unit_optional=True)
                except DurationError as exc:
                    raise DecodeError(f"configuration error: {exc}", at=(field,), hint=exc.hint) from exc


class Override(Spec, frozen=True, kw_only=True):
    """What a pack entry changes of one metric."""

    generator: GeneratorConfig | None = None
    labels: LabelMap | None = None
    after: After | None = None
    while_: While | None = msgspec.field(name="while", default=None)
    delay: Delay | None = None


class Alert(Spec, frozen=True, kw_only=True):
    """An alert that a test expects; ignored when a scenario is run."""

    alert: str
    labels: LabelMap | None = None
    firing_within: Duration
    resolves_within: Duration | None = None


class Expect(Spec, frozen=True, kw_only=True):
    """What a test expects of the alerting side; ignored when a scenario is run."""

    alerts: tuple[Alert, ...] = ()


class Defaults(Spec, frozen=True, kw_only=True):
    """What every entry has unless it says otherwise; `labels` are merged, the rest is taken whole."""

    rate: Positive | None = None
    duration: Duration | None = None
    start_time: Instant | None = None
    encoder: EncoderConfig | None = None
    sink: SinkConfig | None = None
    labels: LabelMap | None = None
    on_sink_error: OnSinkError | None = None
    while_: While | None = msgspec.field(name="while", default=None)
    delay: Delay | None = None
    isolation: Isolation | None = None
    on_restart: OnRestart | None = None
    backfill: LongDuration | None = None
    split: Split | None = None
    digest: bool | None = None

    @classmethod
    def mended(cls, values: dict[str, Any], spoiled: set[str]) -> Self:
        """Return the defaults whose readable fields can be looked at further; clauses are left out."""
        stand_ins = {name: _STAND_INS[name] for name in spoiled & {"rate", "duration"}}
        return cls(**stand_ins | values | {"while_": None, "delay": None})


class Entry(Spec, frozen=True, kw_only=True):
    """One item of `scenarios`."""

    id: str | None = None
    signal_type: Annotated[str, Meta(extra_json_schema={"enum": list(get_args(SignalType))})]
    name: str | None = None
    rate: Positive | None = None
    duration: Duration | None = None
    start_time: Instant | None = None
    generator: GeneratorConfig | None = None
    log_generator: LogGeneratorConfig | None = None
    labels: LabelMap | None = None
    dynamic_labels: Annotated[tuple[DynamicLabel, ...] | None, Meta(max_length=MAX_DYNAMIC_LABELS)] = None
    encoder: EncoderConfig | None = None
    sink: SinkConfig | None = None
    jitter: Annotated[float, Meta(description="number ≥ 0")] | None = None
    jitter_seed: U64 | None = None
    gaps: Gaps | None = None
    gap_windows: Annotated[tuple[GapWindow, ...] | None, Meta(max_length=MAX_GAP_WINDOWS)] = None
    bursts: Bursts | None = None
    cardinality_spikes: Annotated[tuple[CardinalitySpike, ...] | None, Meta(max_length=MAX_LABEL_SPIKES)] = None
    phase_offset: DurationOrZero | None = None
    clock_group: str | None = None
    after: After | None = None
    while_: While | None = msgspec.field(name="while", default=None)
    delay: Delay | None = None
    pack: str | None = None
    overrides: Annotated[dict[str, Override] | None, Meta(max_length=MAX_ENTRIES)] = None
    distribution: DistributionConfig | None = None
    buckets: Annotated[tuple[Positive, ...] | None, Meta(max_length=MAX_BUCKETS)] = None
    quantiles: Annotated[tuple[Fraction, ...] | None, Meta(max_length=MAX_QUANTILES)] = None
    observations_per_tick: Annotated[U32, Meta(description=f"integer, 1 to {MAX_OBSERVATIONS}")] | None = None
    mean_shift_per_sec: float | None = None
    seed: U64 | None = None
    on_sink_error: OnSinkError | None = None
    metric_type: MetricType | None = None
    help: str | None = None
    isolation: Isolation | None = None
    on_restart: OnRestart | None = None
    backfill: LongDuration | None = None
    split: Split | None = None
    digest: bool | None = None

    @classmethod
    def mended(cls, values: dict[str, Any], spoiled: set[str]) -> Self:
        """Return an entry whose readable fields can be looked at further, with something harmless for the others."""
        signal_type = str(values.setdefault("signal_type", _implied(values, spoiled)))
        if not spoiled.isdisjoint({"pack", *BLOCKS.values()}):
            values = {name: value for name, value in values.items() if name not in {"pack", *BLOCKS.values()}}
            block = BLOCKS.get(signal_type, "generator")
            values[block] = STAND_IN_BLOCKS.get(signal_type, STAND_IN_BLOCKS["metrics"])
        if not spoiled.isdisjoint({"while_", "sink"}):
            values.pop("delay", None)
        return cls(**{name: _STAND_INS[name] for name in spoiled & _STAND_INS.keys()} | values)


class ScenarioFile(Spec, frozen=True, kw_only=True):
    """The canonical form."""

    version: U32
    kind: str | None = None
    tags: Annotated[tuple[str, ...], Meta(max_length=MAX_TAGS)] = ()
    scenario_name: str | None = None
    category: str | None = None
    description: str | None = None
    defaults: Defaults | None = None
    scenarios: Annotated[tuple[Entry, ...], Meta(max_length=MAX_ENTRIES, extra={"regime": "listed"})]
    expect: Expect | None = None

    @classmethod
    def mended(cls, values: dict[str, Any], spoiled: set[str]) -> Self:
        """Return the file with the entries that can be looked at further.

        Raises:
            Told: there are none.
        """
        if "scenarios" in spoiled:
            raise Told("the entries cannot be read")
        if "defaults" in spoiled:
            values["defaults"] = Defaults.mended({}, {"rate", "duration"})
        return cls(**{"version": 2} | values)


class FlatFile(Entry, frozen=True, kw_only=True):
    """The flat form: one entry at the top level."""

    version: U32
    kind: str | None = None
    tags: Annotated[tuple[str, ...], Meta(max_length=MAX_TAGS)] = ()
    expect: Expect | None = None

    @classmethod
    def mended(cls, values: dict[str, Any], spoiled: set[str]) -> Self:
        """Return the entry as `Entry.mended`."""
        return super().mended({"version": 2} | values, spoiled)


_Entry = TypeVar("_Entry", bound=Entry)


def standing_alone(entry: _Entry) -> _Entry:
    """Return an entry that is right about its signal and refers to no other, with all else as written.

    A fault in how its blocks fit together was told; what is wrong within each of them is still to be found.
    """
    signal_type = entry.signal_type if entry.signal_type in STAND_IN_BLOCKS else "metrics"
    block = BLOCKS[signal_type]
    return msgspec.structs.replace(
        without_clauses(entry),
        signal_type=signal_type,
        name="m" if entry.name is None else entry.name,
        pack=None,
        overrides=None,
        **dict.fromkeys(set(BLOCKS.values()) - {block}),
        **{block: getattr(entry, block) or STAND_IN_BLOCKS[signal_type]},
    )


def without_clauses(entry: _Entry) -> _Entry:
    """Return an entry that waits for no other."""
    return msgspec.structs.replace(entry, after=None, while_=None, delay=None)


def _implied(values: dict[str, Any], spoiled: set[str]) -> str:
    """Return a signal type that goes with what an entry has, where it gives none that can be read."""
    written = values.keys() | spoiled
    return next((signal_type for signal_type, block in BLOCKS.items() if block in written), "metrics")
