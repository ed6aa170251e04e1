"""Kinds of encoders."""

from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta

from common.specs.base import Precision, RecordShape, SignalType, Spec

METRIC_SIGNALS: Final[frozenset[SignalType]] = frozenset({"metrics", "histogram", "summary"})
"""Signals whose events are numbers."""


Temporality = Annotated[
    Literal["cumulative", "delta"],
    Meta(description="`cumulative`: since the start; `delta`: since the tick before"),
]


class EncoderBlock(Spec, frozen=True, kw_only=True):
    """Base of the kinds of encoders: what others must know of one.

    Attributes:
        signals: whose events it can take.
    """

    signals: ClassVar[frozenset[SignalType]]

    def record(self, _signal: SignalType) -> RecordShape:
        """Return what it writes at a time for events of a signal."""
        return "line"

    @property
    def precision(self) -> int | None:
        """Decimals of values, where users can choose them."""
        return None

    @property
    def looks_back(self) -> bool:
        """Whether it must know the tick before each batch."""
        return False


class PrometheusText(EncoderBlock, frozen=True, kw_only=True, tag_field="type", tag="prometheus_text"):
    """Prometheus text exposition, one line per event; `precision` decimals, or full."""

    signals = METRIC_SIGNALS
    precision: Precision | None = None


class InfluxLp(EncoderBlock, frozen=True, kw_only=True, tag_field="type", tag="influx_lp"):
    """InfluxDB line protocol with the value in `field_key`; `precision` decimals, or full."""

    signals = METRIC_SIGNALS
    field_key: str = "value"
    precision: Precision | None = None


class JsonLines(EncoderBlock, frozen=True, kw_only=True, tag_field="type", tag="json_lines"):
    """One compact JSON object per line; `precision` decimals, or full."""

    signals = METRIC_SIGNALS | {"logs"}
    precision: Precision | None = None


class Syslog(EncoderBlock, frozen=True, kw_only=True, tag_field="type", tag="syslog"):
    """RFC 5424 syslog messages, one per line."""

    signals = frozenset({"logs"})
    hostname: str = "sonda"
    app_name: str = "sonda"


class RemoteWriteEncoder(EncoderBlock, frozen=True, kw_only=True, tag_field="type", tag="remote_write"):
    """Prometheus remote-write time series."""

    signals = METRIC_SIGNALS

    def record(self, _signal: SignalType) -> RecordShape:
        """Return the message of a series with one sample."""
        return "TimeSeries"


class OtlpEncoder(EncoderBlock, frozen=True, kw_only=True, tag_field="type", tag="otlp"):
    """OpenTelemetry data points and log records; `temporality` is that of sums and histograms."""

    signals = METRIC_SIGNALS | {"logs"}
    temporality: Temporality = "cumulative"

    @property
    def looks_back(self) -> bool:
        """Whether it must know the tick before each batch."""
        return self.temporality == "delta"

    def record(self, signal: SignalType) -> RecordShape:
        """Return the message of a signal."""
        return "LogRecord" if signal == "logs" else "Metric"


EncoderSpec = PrometheusText | InfluxLp | JsonLines | Syslog | RemoteWriteEncoder | OtlpEncoder
