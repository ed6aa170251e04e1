"""What users write: one frozen Struct per block of a version-2 scenario file.

A block selected by `type` is a tagged union; adding a kind is one Struct here, one module and one table line in the
worker. Field order is the declaration order that unknown-field messages list. Numbers are in the unit their name
gives; durations are texts of the duration grammar (`common/units.py`) and are checked by the compiler.

Source: scenario format, sections 5 to 8.
"""

from typing import Literal

import msgspec

OnSinkError = Literal["warn", "fail"]
SpikeStrategy = Literal["counter", "random"]


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of everything a user writes."""


class Constant(Spec, frozen=True, kw_only=True, tag_field="type", tag="constant"):
    """The same value at every tick."""

    value: float


class Uniform(Spec, frozen=True, kw_only=True, tag_field="type", tag="uniform"):
    """Uniformly distributed over [min, max], a pure function of seed and tick."""

    min: float
    max: float
    seed: int = 0


class Sine(Spec, frozen=True, kw_only=True, tag_field="type", tag="sine"):
    """`offset + amplitude * sin(2*pi*t/period)`; amplitude and offset in the metric's own unit."""

    amplitude: float
    period_secs: float
    offset: float


class Sawtooth(Spec, frozen=True, kw_only=True, tag_field="type", tag="sawtooth"):
    """A ramp from min to max, repeated every period."""

    min: float
    max: float
    period_secs: float


class Sequence(Spec, frozen=True, kw_only=True, tag_field="type", tag="sequence"):
    """The listed values, one a tick, repeated or held at the last."""

    values: tuple[float, ...]
    repeat: bool = True


class Spike(Spec, frozen=True, kw_only=True, tag_field="type", tag="spike"):
    """`baseline`, raised by `magnitude` for `duration_secs` at the head of every `interval_secs`."""

    baseline: float
    magnitude: float
    duration_secs: float
    interval_secs: float


class Step(Spec, frozen=True, kw_only=True, tag_field="type", tag="step"):
    """`start + tick * step_size`, wrapping from `max` back to `start` when `max` is given."""

    step_size: float
    start: float = 0.0
    max: float | None = None


GeneratorSpec = Constant | Uniform | Sine | Sawtooth | Sequence | Spike | Step


class PrometheusText(Spec, frozen=True, kw_only=True, tag_field="type", tag="prometheus_text"):
    """Prometheus text exposition, one line an event; `precision` decimals, or full."""

    precision: int | None = None


class JsonLines(Spec, frozen=True, kw_only=True, tag_field="type", tag="json_lines"):
    """One compact JSON object a line; `precision` decimals, or full."""

    precision: int | None = None


EncoderSpec = PrometheusText | JsonLines


class Retry(Spec, frozen=True, kw_only=True):
    """How often and how patiently a failed delivery is tried again."""

    max_attempts: int
    initial_backoff: str
    max_backoff: str


class Stdout(Spec, frozen=True, kw_only=True, tag_field="type", tag="stdout"):
    """The daemon's standard output."""


class File(Spec, frozen=True, kw_only=True, tag_field="type", tag="file"):
    """A file, truncated when the scenario starts."""

    path: str


class Tcp(Spec, frozen=True, kw_only=True, tag_field="type", tag="tcp"):
    """One connection to `host:port` for the scenario's life, no framing."""

    address: str
    retry: Retry | None = None


class Udp(Spec, frozen=True, kw_only=True, tag_field="type", tag="udp"):
    """One datagram an event to `host:port`."""

    address: str


class Memory(Spec, frozen=True, kw_only=True, tag_field="type", tag="memory"):
    """Keeps nothing, or with `capture` the newest `max_events` events; for measuring without a destination."""

    capture: bool = False
    max_events: int = 1_000_000


SinkSpec = Stdout | File | Tcp | Udp | Memory


class Gaps(Spec, frozen=True, kw_only=True):
    """Silence for `for` at the tail of every `every`."""

    every: str
    for_: str = msgspec.field(name="for")


class GapWindow(Spec, frozen=True, kw_only=True):
    """One silence [at, at + for) after the entry's start."""

    at: str
    for_: str = msgspec.field(name="for")


class Bursts(Spec, frozen=True, kw_only=True):
    """The rate times `multiplier` for `for` at the head of every `every`."""

    every: str
    for_: str = msgspec.field(name="for")
    multiplier: float


class CardinalitySpike(Spec, frozen=True, kw_only=True):
    """A label with `cardinality` values, present for `for` at the head of every `every`."""

    label: str
    every: str
    for_: str = msgspec.field(name="for")
    cardinality: int
    strategy: SpikeStrategy = "counter"
    prefix: str | None = None
    seed: int = 0


class DynamicLabel(Spec, frozen=True, kw_only=True):
    """A label that rotates with the tick: over `values`, or over `prefix` + 0 … `cardinality` - 1."""

    key: str
    prefix: str | None = None
    cardinality: int | None = None
    values: tuple[str, ...] | None = None
