"""Ways over HTTP to a receiver: the entry that takes one, and the ticks that a body holds."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cramjam
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from common.plan import EntryPlan
from common.specs import (
    HttpPush,
    Loki,
    OtlpEncoder,
    OtlpHttp,
    PrometheusText,
    RemoteWriteEncoder,
    RemoteWriteSink,
    Step,
)
from tests.support.plans import entry_plan
from tests.support.protobuf_classes import PROMETHEUS, WRITE_2

FIRST_VALUE = 10**9
LINE_BYTES = len("m 1000000000 1731587696789\n")


@dataclass(frozen=True)
class Way:
    """One kind of sink.

    Attributes:
        name: its type.
        sink: builds it for a URL; `batch_size` and other fields are keywords.
        encoder: what it takes.
        values_in: the values in one body, in order.
        unit: what one event is in its `batch_size`.
        headers: of the answer of a receiver that has taken so many events.
    """

    name: str
    sink: Callable[..., Any]
    encoder: Any
    values_in: Callable[[bytes], list[float]]
    unit: int = 1
    headers: Callable[[int], Sequence[str]] = lambda _: ()

    def entry(self, url: str, per_request: int, *, rate: float = 1e6, **fields: Any) -> EntryPlan:
        """Return an entry whose value at tick k is `FIRST_VALUE` + k; `fields` are the sink's, or the entry's."""
        of_entry = {
            name: fields.pop(name)
            for name in ("dynamic_labels", "duration_ns", "on_sink_error", "labels")
            if name in fields
        }
        sink = self.sink(url=url, batch_size=per_request * self.unit, max_buffer_age="0s", **fields)
        return entry_plan(
            name="m",
            rate=rate,
            generator=Step(start=FIRST_VALUE, step_size=1.0),
            encoder=self.encoder,
            sink=sink,
            **of_entry,
        )

    def ticks_in(self, body: bytes) -> list[int]:
        """Return the ticks in one body."""
        return [int(value) - FIRST_VALUE for value in self.values_in(body)]


def _text(body: bytes) -> list[float]:
    return [float(line.split()[-2]) for line in body.decode().splitlines()]


def _loki(body: bytes) -> list[float]:
    entries = [entry for stream in json.loads(body)["streams"] for entry in stream["values"]]
    return [float(line.split()[-2]) for _, line in entries]


def _remote_write(body: bytes) -> list[float]:
    request = PROMETHEUS["WriteRequest"].FromString(bytes(cramjam.snappy.decompress_raw(body)))
    return [sample.value for series in request.timeseries for sample in series.samples]


def _remote_write_2(body: bytes) -> list[float]:
    request = WRITE_2["Request"].FromString(bytes(cramjam.snappy.decompress_raw(body)))
    return [sample.value for series in request.timeseries for sample in series.samples]


def otlp_values(body: bytes) -> list[float]:
    """Return the values of all points of an export request."""
    return [
        metric.gauge.data_points[0].as_double
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


WAYS = (
    Way("http_push", HttpPush, PrometheusText(), _text, LINE_BYTES),
    Way("loki", Loki, PrometheusText(), _loki),
    Way("remote_write", RemoteWriteSink, RemoteWriteEncoder(), _remote_write),
    Way(
        "remote_write 2.0",
        lambda **fields: RemoteWriteSink(protocol_version="2.0", **fields),
        RemoteWriteEncoder(),
        _remote_write_2,
        headers=lambda taken: (f"X-Prometheus-Remote-Write-Samples-Written: {taken}",),
    ),
    Way("otlp_http", lambda **fields: OtlpHttp(signal_type="metrics", **fields), OtlpEncoder(), otlp_values),
)
