"""Kinds of sinks."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from common.specs.base import U32, U64, Duration, DurationOrZero, Extra, RecordShape, Spec

InFlight = Annotated[int, Meta(ge=1, le=64)]
"""How many requests may be on their way at a time."""


class Retry(Spec, frozen=True, kw_only=True):
    """How often and how patiently a failed delivery is tried again."""

    max_attempts: Annotated[U32, Meta(description="integer, 1 to 4294967295")]
    initial_backoff: Duration
    max_backoff: Annotated[str, Meta(description="duration, not below `initial_backoff`")]


class SinkBlock(Spec, frozen=True, kw_only=True):
    """Base of the kinds of sinks: what others must know of one.

    Attributes:
        closes_series: whether its receivers know a mark for the end of a series.
        extra: what must be installed for it.
        url_noun: what its URL is, in messages; empty for a sink that has none.
    """

    closes_series: ClassVar[bool] = False
    extra: ClassVar[Extra | None] = None
    url_noun: ClassVar[str] = ""

    @property
    def record(self) -> RecordShape | None:
        """The only records that it takes; None for a sink that takes any."""
        return None

    @property
    def addresses(self) -> tuple[str, ...]:
        """URLs or `host:port` of the receivers it talks to."""
        return ()

    @property
    def max_buffer_age(self) -> str | None:
        """How long an event may wait for others; None for a sink that keeps nothing back."""
        return None

    @property
    def retry(self) -> Retry | None:
        """How a failed delivery is tried again, where users can choose it."""
        return None

    @property
    def max_in_flight(self) -> int:
        """How many requests may wait for their answers at a time; each series has one of them."""
        return 1

    @property
    def request_records(self) -> int:
        """How many records make a request; 1 for a sink that does not count them."""
        return 1

    @property
    def has_large_requests(self) -> bool:
        """Whether what it sends at a time is large whatever the number of records."""
        return False


class UrlSink(SinkBlock, frozen=True, kw_only=True):
    """Base of the sinks that talk to one URL."""

    url: str

    @property
    def addresses(self) -> tuple[str, ...]:
        """The URL."""
        return (self.url,)


class AddressSink(SinkBlock, frozen=True, kw_only=True):
    """Base of the sinks that talk to one `host:port`."""

    address: str

    @property
    def addresses(self) -> tuple[str, ...]:
        """The address."""
        return (self.address,)


class Stdout(SinkBlock, frozen=True, kw_only=True, tag_field="type", tag="stdout"):
    """The daemon's standard output."""


class File(SinkBlock, frozen=True, kw_only=True, tag_field="type", tag="file"):
    """A file, truncated when the scenario starts."""

    path: str


class Tcp(AddressSink, frozen=True, kw_only=True, tag_field="type", tag="tcp"):
    """One connection to `host:port` for the scenario's life, no framing."""

    retry: Retry | None = None


class Udp(AddressSink, frozen=True, kw_only=True, tag_field="type", tag="udp"):
    """One datagram per event to `host:port`."""


class Memory(SinkBlock, frozen=True, kw_only=True, tag_field="type", tag="memory"):
    """Keeps nothing, or with `capture` the newest `max_events` events; for measuring without a destination."""

    capture: bool = False
    max_events: U64 = 1_000_000


class HttpPush(UrlSink, frozen=True, kw_only=True, tag_field="type", tag="http_push"):
    """HTTP POST of `batch_size` bytes at a time, or of what is there after `max_buffer_age`."""

    url_noun = "HTTP push"
    secret_entries = frozenset({"headers"})
    content_type: str = "application/octet-stream"
    batch_size: U64 = 4096
    max_buffer_age: DurationOrZero = "5s"
    max_in_flight: InFlight = 1
    headers: dict[str, str] | None = None
    retry: Retry | None = None

    @property
    def has_large_requests(self) -> bool:
        """From 256 KiB on."""
        return self.batch_size >= 256 * 1024


class RemoteWriteSink(UrlSink, frozen=True, kw_only=True, tag_field="type", tag="remote_write"):
    """Prometheus remote write of `protocol_version` 1.0 or 2.0, `batch_size` samples per request."""

    closes_series = True
    extra = Extra("remote-write", "cramjam")
    url_noun = "remote write"
    protocol_version: Literal["1.0", "2.0"] = "1.0"
    batch_size: U64 = 5
    max_buffer_age: DurationOrZero = "5s"
    max_in_flight: InFlight = 1
    retry: Retry | None = None

    @property
    def record(self) -> RecordShape:
        """The message of a series."""
        return "TimeSeries"

    @property
    def request_records(self) -> int:
        """As many as a batch has, at least one."""
        return max(self.batch_size, 1)


class KafkaTls(Spec, frozen=True, kw_only=True):
    """TLS towards the brokers; paths of PEM files, public roots without `ca_cert`."""

    enabled: bool = False
    ca_cert: str | None = None
    client_cert: Annotated[str | None, Meta(description="path; shown to brokers that ask for it")] = None
    client_key: Annotated[str | None, Meta(description="path of its key, without a password")] = None


class KafkaSasl(Spec, frozen=True, kw_only=True):
    """How to log in to the brokers."""

    secrets = frozenset({"password"})
    mechanism: str
    username: str
    password: Annotated[str, Meta(extra_json_schema={"writeOnly": True})]


class Kafka(SinkBlock, frozen=True, kw_only=True, tag_field="type", tag="kafka"):
    """Records for one topic, of 64 KiB or of one event each; `brokers` is a comma list of `host:port`."""

    extra = Extra("kafka", "confluent_kafka")
    secret_entries = frozenset({"headers"})
    brokers: str
    topic: str
    records: Annotated[
        Literal["batch", "event"], Meta(description="`batch`: 64 KiB of events a record; `event`: one event a record")
    ] = "batch"
    key: Annotated[str | None, Meta(description="label whose value is the key of a record of one event")] = None
    headers: Annotated[dict[str, str] | None, Meta(description="of every record of one event")] = None
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    max_buffer_age: DurationOrZero = "5s"
    retry: Retry | None = None
    tls: KafkaTls | None = None
    sasl: KafkaSasl | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The brokers, less empty items of the list."""
        return tuple(broker.strip() for broker in self.brokers.split(",") if broker.strip())

    @property
    def has_large_requests(self) -> bool:
        """Always: the library sends several records of 64 KiB in a request."""
        return True


class Loki(UrlSink, frozen=True, kw_only=True, tag_field="type", tag="loki"):
    """Grafana Loki, `batch_size` log entries per push, at most `max_streams_per_push` streams in it."""

    url_noun = "Loki"
    batch_size: U64 = 5
    max_streams_per_push: U32 = 128
    max_buffer_age: DurationOrZero = "5s"
    max_in_flight: InFlight = 1
    retry: Retry | None = None

    @property
    def request_records(self) -> int:
        """As many as a batch has, at least one."""
        return max(self.batch_size, 1)


def _otlp_record(signal: Literal["metrics", "logs"]) -> RecordShape:
    return "Metric" if signal == "metrics" else "LogRecord"


class OtlpGrpc(SinkBlock, frozen=True, kw_only=True, tag_field="type", tag="otlp_grpc"):
    """An OpenTelemetry collector over gRPC, `batch_size` data points or log records per request."""

    extra = Extra("otlp", "grpc")
    endpoint: str
    signal_type: Literal["metrics", "logs"]
    batch_size: U64 = 5
    max_buffer_age: DurationOrZero = "5s"
    max_in_flight: InFlight = 1
    retry: Retry | None = None

    @property
    def record(self) -> RecordShape:
        """The message of the signal."""
        return _otlp_record(self.signal_type)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The endpoint."""
        return (self.endpoint,)

    @property
    def request_records(self) -> int:
        """As many as a batch has, at least one."""
        return max(self.batch_size, 1)


class OtlpHttp(UrlSink, frozen=True, kw_only=True, tag_field="type", tag="otlp_http"):
    """An OpenTelemetry collector over HTTP at `url`/v1/metrics or /v1/logs, `batch_size` records per request."""

    url_noun = "OTLP"
    secret_entries = frozenset({"headers"})

    signal_type: Literal["metrics", "logs"]
    batch_size: U64 = 5
    max_buffer_age: DurationOrZero = "5s"
    max_in_flight: InFlight = 1
    compression: Literal["none", "gzip"] = "none"
    headers: dict[str, str] | None = None
    retry: Retry | None = None

    @property
    def record(self) -> RecordShape:
        """The message of the signal."""
        return _otlp_record(self.signal_type)

    @property
    def request_records(self) -> int:
        """As many as a batch has, at least one."""
        return max(self.batch_size, 1)


SinkSpec = Stdout | File | Tcp | Udp | Memory | HttpPush | RemoteWriteSink | Kafka | Loki | OtlpGrpc | OtlpHttp
