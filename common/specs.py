"""What users write and workers run: one frozen Struct per kind of generator, encoder and sink.

A block selected by `type` is a tagged union; adding a kind is one Struct here, one module and one table line in the
worker. Field order is the declaration order that unknown-field messages list. Numbers are in the unit their name
gives; durations are texts of the duration grammar (`common/units.py`) and are checked by the compiler. The rest of the
language, which never reaches a worker, is `supervisor/compiler/language/blocks.py`.

Source: docs/scenarios.md.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from common.units import duration_secs, round_half_away

OnSinkError = Literal["warn", "fail"]
SpikeStrategy = Literal["counter", "random"]

U8 = Annotated[int, Meta(ge=0, le=2**8 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
# msgspec takes bounds of 63 bits at the most; the compiler refuses what 64 bits do not hold.
U64 = Annotated[int, Meta(ge=0)]

# What the compiler checks beyond the type; the reference and the schema show it.
Duration = Annotated[str, Meta(description="duration")]
DurationOrZero = Annotated[str, Meta(description="duration, or zero")]
Positive = Annotated[float, Meta(description="number > 0")]
Precision = Annotated[U8, Meta(description="integer, 0 to 17")]

MAX_SEQUENCE_VALUES = 1_000_000
"""Values of one `sequence`: 8 MB."""

MAX_TEMPLATES = 1_000
MAX_POOLS = 64
MAX_POOL_VALUES = 10_000
"""Of one log generator, one template and one pool."""


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything a user writes."""


def kind_of(spec: Spec) -> str:
    """Return the `type` under which users write a tagged block."""
    return str(spec.__struct_config__.tag)


class Constant(Spec, frozen=True, kw_only=True, tag_field="type", tag="constant"):
    """The same value at every tick."""

    value: float


class Uniform(Spec, frozen=True, kw_only=True, tag_field="type", tag="uniform"):
    """Uniformly distributed over [min, max], a pure function of seed and tick."""

    min: float
    max: float
    seed: U64 = 0


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

    values: Annotated[tuple[float, ...], Meta(max_length=MAX_SEQUENCE_VALUES)]
    repeat: bool = True


class Spike(Spec, frozen=True, kw_only=True, tag_field="type", tag="spike"):
    """`baseline`, raised by `magnitude` for `duration_secs` at the head of every `interval_secs`."""

    baseline: float
    magnitude: float
    duration_secs: Annotated[float, Meta(description="number ≥ 0")]
    interval_secs: Positive


class Step(Spec, frozen=True, kw_only=True, tag_field="type", tag="step"):
    """`start + tick * step_size`, wrapping from `max` back to `start` when `max` is given."""

    step_size: float
    start: float = 0.0
    max: float | None = None


class Flap(Spec, frozen=True, kw_only=True, tag_field="type", tag="flap"):
    """Up for `up_duration`, then down for `down_duration`, in turn; `enum` names a pair of values."""

    up_duration: Duration = "10s"
    down_duration: Duration = "5s"
    up_value: float | None = None
    down_value: float | None = None
    enum: Literal["boolean", "link_state", "oper_state", "admin_state", "neighbor_state"] | None = None

    @property
    def levels(self) -> tuple[float, float]:
        """The values up and down."""
        if self.enum is not None:
            return _FLAP_LEVELS[self.enum]
        return (
            1.0 if self.up_value is None else self.up_value,
            0.0 if self.down_value is None else self.down_value,
        )

    def ticks(self, rate: float) -> tuple[int, int]:
        """Return how many ticks it is up and down in turn at `rate` events per second; (0, 0) when there are none.

        Raises:
            DurationError: a text that is no duration.

        Source: docs/scenarios.md, "Generators".
        """
        up, down = (_tick_count(duration_secs(text) * rate) for text in (self.up_duration, self.down_duration))
        return (max(up, 1), max(down, 1)) if up or down else (0, 0)


_FLAP_LEVELS = {
    "boolean": (1.0, 0.0),
    "link_state": (1.0, 0.0),
    "oper_state": (1.0, 2.0),
    "admin_state": (1.0, 2.0),
    "neighbor_state": (6.0, 1.0),
}
_MAX_FLAP_TICKS = 2.0**62


def _tick_count(ticks: float) -> int:
    return round_half_away(min(ticks, _MAX_FLAP_TICKS)) if ticks > 0 else 0


GeneratorSpec = Constant | Uniform | Sine | Sawtooth | Sequence | Spike | Step | Flap


class Template(Spec, frozen=True, kw_only=True):
    """A message whose `{name}` is replaced by a value of the pool of that name."""

    message: str
    field_pools: Annotated[
        dict[str, Annotated[tuple[str, ...], Meta(max_length=MAX_POOL_VALUES)]], Meta(max_length=MAX_POOLS)
    ] = {}


class LogTemplate(Spec, frozen=True, kw_only=True, tag_field="type", tag="template"):
    """The templates in turn, with severities drawn by weight (`info` without weights)."""

    templates: Annotated[tuple[Template, ...], Meta(max_length=MAX_TEMPLATES)]
    severity_weights: dict[str, float] | None = None
    seed: U64 = 0


class Exponential(Spec, frozen=True, kw_only=True, tag_field="type", tag="exponential"):
    """Exponential with `rate` lambda."""

    rate: Positive


class Normal(Spec, frozen=True, kw_only=True, tag_field="type", tag="normal"):
    """Gaussian."""

    mean: float
    stddev: Positive


class UniformDistribution(Spec, frozen=True, kw_only=True, tag_field="type", tag="uniform"):
    """Uniform over [min, max)."""

    min: float
    max: float


DistributionSpec = Exponential | Normal | UniformDistribution


class PrometheusText(Spec, frozen=True, kw_only=True, tag_field="type", tag="prometheus_text"):
    """Prometheus text exposition, one line an event; `precision` decimals, or full."""

    precision: Precision | None = None


class InfluxLp(Spec, frozen=True, kw_only=True, tag_field="type", tag="influx_lp"):
    """InfluxDB line protocol with the value in `field_key`; `precision` decimals, or full."""

    field_key: str = "value"
    precision: Precision | None = None


class JsonLines(Spec, frozen=True, kw_only=True, tag_field="type", tag="json_lines"):
    """One compact JSON object a line; `precision` decimals, or full."""

    precision: Precision | None = None


class Syslog(Spec, frozen=True, kw_only=True, tag_field="type", tag="syslog"):
    """RFC 5424 syslog messages, one a line."""

    hostname: str = "sonda"
    app_name: str = "sonda"


class RemoteWriteEncoder(Spec, frozen=True, kw_only=True, tag_field="type", tag="remote_write"):
    """Prometheus remote-write time series."""


class OtlpEncoder(Spec, frozen=True, kw_only=True, tag_field="type", tag="otlp"):
    """OpenTelemetry data points and log records."""


EncoderSpec = PrometheusText | InfluxLp | JsonLines | Syslog | RemoteWriteEncoder | OtlpEncoder


class Retry(Spec, frozen=True, kw_only=True):
    """How often and how patiently a failed delivery is tried again."""

    max_attempts: Annotated[U32, Meta(description="integer, 1 to 4294967295")]
    initial_backoff: Duration
    max_backoff: Annotated[str, Meta(description="duration, not below `initial_backoff`")]


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
    max_events: U64 = 1_000_000


class HttpPush(Spec, frozen=True, kw_only=True, tag_field="type", tag="http_push"):
    """HTTP POST of `batch_size` bytes at a time, or of what is there after `max_buffer_age`."""

    url: str
    content_type: str = "application/octet-stream"
    batch_size: U64 = 4096
    max_buffer_age: DurationOrZero = "5s"
    headers: dict[str, str] | None = None
    retry: Retry | None = None


class RemoteWriteSink(Spec, frozen=True, kw_only=True, tag_field="type", tag="remote_write"):
    """Prometheus remote write, `batch_size` time series a request."""

    url: str
    batch_size: U64 = 5
    max_buffer_age: DurationOrZero = "5s"
    retry: Retry | None = None


class KafkaTls(Spec, frozen=True, kw_only=True):
    """TLS towards the brokers; `ca_cert` is the path of a PEM file, public roots without it."""

    enabled: bool = False
    ca_cert: str | None = None


class KafkaSasl(Spec, frozen=True, kw_only=True):
    """How to log in to the brokers."""

    mechanism: str
    username: str
    password: Annotated[str, Meta(extra_json_schema={"writeOnly": True})]


class Kafka(Spec, frozen=True, kw_only=True, tag_field="type", tag="kafka"):
    """Records for one topic; `brokers` is a comma list of `host:port`."""

    brokers: str
    topic: str
    max_buffer_age: DurationOrZero = "5s"
    retry: Retry | None = None
    tls: KafkaTls | None = None
    sasl: KafkaSasl | None = None


class Loki(Spec, frozen=True, kw_only=True, tag_field="type", tag="loki"):
    """Grafana Loki, `batch_size` log entries a push, at most `max_streams_per_push` streams in it."""

    url: str
    batch_size: U64 = 5
    max_streams_per_push: U32 = 128
    max_buffer_age: DurationOrZero = "5s"
    retry: Retry | None = None


class OtlpGrpc(Spec, frozen=True, kw_only=True, tag_field="type", tag="otlp_grpc"):
    """An OpenTelemetry collector over gRPC, `batch_size` data points or log records a request."""

    endpoint: str
    signal_type: Literal["metrics", "logs"]
    batch_size: U64 = 5
    max_buffer_age: DurationOrZero = "5s"
    retry: Retry | None = None


SinkSpec = Stdout | File | Tcp | Udp | Memory | HttpPush | RemoteWriteSink | Kafka | Loki | OtlpGrpc
