"""The kinds of the language that no worker sees, and the unions as users know them.

Operational aliases and replays are rewritten by the compiler into what `common/plan.py` carries. The names of the
unions are those of the messages. Source: docs/scenarios.md, "Entry", "Generators" and "Replays".
"""

from typing import Annotated, Final, Literal

from msgspec import Meta

from common.specs import (
    U64,
    Constant,
    DistributionSpec,
    Duration,
    EncoderSpec,
    Flap,
    LogTemplate,
    Positive,
    Sawtooth,
    Sequence,
    Sine,
    SinkSpec,
    Spec,
    Spike,
    Step,
    Uniform,
)

MAX_COLUMNS: Final = 512
"""Columns of one replay: each becomes a scenario."""


class CsvColumn(Spec, frozen=True, kw_only=True):
    """A column to replay as the metric `name`; `index` counts from 0, the time column included."""

    index: U64
    name: str
    labels: dict[str, str] | None = None


class CsvReplay(Spec, frozen=True, kw_only=True, tag_field="type", tag="csv_replay"):
    """The columns of a CSV file at the pace of its first column, times `timescale`."""

    file: str
    columns: Annotated[tuple[CsvColumn, ...] | None, Meta(max_length=MAX_COLUMNS)] = None
    repeat: bool = True
    timescale: Positive = 1.0
    default_metric_name: str | None = None


class Saturation(Spec, frozen=True, kw_only=True, tag_field="type", tag="saturation"):
    """A resource that fills from `baseline` to `ceiling` and starts over."""

    baseline: float = 0.0
    ceiling: float = 100.0
    time_to_saturate: Duration = "5m"


class Leak(Spec, frozen=True, kw_only=True, tag_field="type", tag="leak"):
    """A resource that fills once: `time_to_ceiling` may not be shorter than the scenario."""

    baseline: float = 0.0
    ceiling: float = 100.0
    time_to_ceiling: Duration = "10m"


class Degradation(Spec, frozen=True, kw_only=True, tag_field="type", tag="degradation"):
    """A ramp with noise."""

    baseline: float = 0.0
    ceiling: float = 100.0
    time_to_degrade: Duration = "5m"
    noise: float = 1.0
    noise_seed: U64 | None = None


class Steady(Spec, frozen=True, kw_only=True, tag_field="type", tag="steady"):
    """A slow wave with noise."""

    center: float = 50.0
    amplitude: float = 10.0
    period: Duration = "60s"
    noise: float = 1.0
    noise_seed: U64 | None = None


class SpikeEvent(Spec, frozen=True, kw_only=True, tag_field="type", tag="spike_event"):
    """A spike at the beginning of every interval."""

    baseline: float = 0.0
    spike_height: float = 100.0
    spike_duration: Duration = "10s"
    spike_interval: Duration = "30s"


Alias = Saturation | Leak | Degradation | Steady | SpikeEvent
WrittenGenerator = Constant | Uniform | Sine | Sawtooth | Sequence | Spike | Step | CsvReplay | Flap | Alias


class LogColumns(Spec, frozen=True, kw_only=True):
    """Header names of the columns with a role; found by their usual names where absent."""

    timestamp: str | None = None
    severity: str | None = None
    message: str | None = None


class LogCsvReplay(Spec, frozen=True, kw_only=True, tag_field="type", tag="csv_replay"):
    """The rows of a CSV file as log events, at the pace of its timestamp column times `timescale`."""

    file: str
    columns: LogColumns | None = None
    repeat: bool = True
    timescale: Positive = 1.0
    default_severity: Literal["trace", "debug", "info", "warn", "warning", "error", "fatal"] = "info"


_OBSERVED: Final = dict.fromkeys(("exponential", "normal"), "histograms and summaries take `distribution`")
_ENCODER_HINTS: Final = {
    "json": "did you mean `json_lines`?",
    "text": "did you mean `prometheus_text`?",
    "influx": "did you mean `influx_lp`?",
}
_SINK_HINTS: Final = {
    "http": "did you mean `http_push`?",
    "prometheus": "Prometheus takes `remote_write`",
    "otlp": "did you mean `otlp_grpc`?",
    "console": "did you mean `stdout`?",
}
WrittenLogGenerator = LogTemplate | LogCsvReplay

GeneratorConfig = Annotated[
    WrittenGenerator,
    Meta(extra={"name": "GeneratorConfig", "hints": {"template": "logs take `log_generator`"} | _OBSERVED}),
]
LogGeneratorConfig = Annotated[WrittenLogGenerator, Meta(extra={"name": "LogGeneratorConfig"})]
DistributionConfig = Annotated[DistributionSpec, Meta(extra={"name": "DistributionConfig"})]
EncoderConfig = Annotated[
    EncoderSpec, Meta(extra={"name": "EncoderConfig", "later": ("gnmi", "snmp"), "hints": _ENCODER_HINTS})
]
SinkConfig = Annotated[
    SinkSpec,
    Meta(extra={"name": "SinkConfig", "later": ("gnmi_target", "snmp_agent", "snmp_trap"), "hints": _SINK_HINTS}),
]
