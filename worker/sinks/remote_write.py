"""The remote_write sink: time series as one compressed message a request.

Source: prometheus.io/docs/specs/prw/remote_write_spec; docs/sinks.md, "Prometheus remote write".
"""

from collections.abc import Sequence

import cramjam

from common.errors import SinkError
from common.specs import RemoteWriteSink as Spec
from common.units import duration_or_zero_us, nanoseconds
from worker.encoders.protobuf import with_lengths
from worker.sinks.batching import Batching, Piece
from worker.sinks.context import SinkContext
from worker.sinks.http_sink import HttpSink

_TIMESERIES = 1


class RemoteWriteSink(HttpSink):
    """Writes to one receiver."""

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the write request of all series of `pieces`, compressed."""
        series = (with_lengths(piece.payload, piece.record_ends(), _TIMESERIES) for piece in pieces)
        return bytes(cramjam.snappy.compress_raw(b"".join(series)))

    def send(self, request: bytes) -> None:
        """Post one write request.

        Raises:
            SinkError: it was not taken; a receiver that refuses it for good has lost it.
        """
        rejection = super().send(request)
        if rejection is not None:
            raise SinkError(rejection.words)


def build(spec: Spec, context: SinkContext) -> RemoteWriteSink:
    """Return the sink of `spec`."""
    batching = Batching(spec.batch_size, "records", nanoseconds(duration_or_zero_us(spec.max_buffer_age)))
    return RemoteWriteSink(
        spec,
        context,
        batching,
        content_type="application/x-protobuf",
        headers={"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"},
        action="remote write to",
    )
