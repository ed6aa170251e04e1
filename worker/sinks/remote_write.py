"""The remote_write sink: time series as one compressed message a request.

Source: prometheus.io/docs/specs/prw/remote_write_spec and remote_write_spec_2_0; docs/sinks.md, "Prometheus remote
write".
"""

import re
from collections.abc import Sequence
from typing import Final

import cramjam

from common.errors import SinkError
from common.plan import EntryPlan
from common.specs import RemoteWriteSink as Spec
from common.units import duration_or_zero_us, nanoseconds
from worker.encoders.protobuf import with_lengths
from worker.sinks.batching import Batching, Piece, Rejection
from worker.sinks.context import SinkContext
from worker.sinks.http_sink import HttpSink
from worker.sinks.write_request import WriteRequests

_TIMESERIES: Final = 1
_VERSION: Final = "X-Prometheus-Remote-Write-Version"
# How Prometheus and its relatives say that samples are older than they take.
_TOO_OLD: Final = re.compile(r"out of bounds|too[ -]old")
_WRITTEN: Final = re.compile(rb"^x-prometheus-remote-write-samples-written:[\t ]*([0-9]{1,18})[\t ]*\r$", re.M | re.I)


class RemoteWriteClient(HttpSink):
    """Writes to one receiver that speaks 1.0."""

    def __init__(self, spec: Spec, context: SinkContext, content_type: str, version: str) -> None:
        super().__init__(
            spec,
            context,
            Batching(spec.batch_size, "records", nanoseconds(duration_or_zero_us(spec.max_buffer_age))),
            content_type=content_type,
            headers={"Content-Encoding": "snappy", _VERSION: version},
            action="remote write to",
        )
        self._has_history = context.plan.backfill_ns > 0

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the write request of all series of `pieces`, compressed."""
        series = (with_lengths(piece.payload, piece.record_ends(), _TIMESERIES) for piece in pieces)
        return bytes(cramjam.snappy.compress_raw(b"".join(series)))

    def send(self, request: bytes) -> Rejection | None:
        """Post one write request.

        Raises:
            SinkError: not taken; what a receiver refuses for good is lost, but for history that is too old.
        """
        rejection = super().send(request)
        if rejection is None or self.is_too_old(rejection.words):
            return rejection
        raise SinkError(rejection.words)

    def is_too_old(self, words: str) -> bool:
        """Return whether a receiver says so of history, which it need not take."""
        return self._has_history and _TOO_OLD.search(words) is not None


class _Request(bytes):
    """A compressed request that knows how many samples it has."""

    samples: int


class RemoteWriteClient2(RemoteWriteClient):
    """Writes to one receiver that speaks 2.0, and says how many samples it has written."""

    def __init__(self, spec: Spec, context: SinkContext) -> None:
        super().__init__(spec, context, "application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0")
        self.relabel(context.plan)

    def relabel(self, plan: EntryPlan) -> None:
        """Write the series of `plan` from now on."""
        self._write_requests = WriteRequests(plan)

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the write request of all samples of `pieces`, compressed."""
        request = _Request(cramjam.snappy.compress_raw(self._write_requests.request(pieces)))
        request.samples = sum(piece.records for piece in pieces)
        return request

    def send(self, request: bytes) -> Rejection | None:
        """Post one write request; what the receiver has not written of it is returned.

        Raises:
            SinkError: nothing was written, whatever the status says, and not because history is too old.
        """
        assert isinstance(request, _Request)  # noqa: S101 - made by this sink
        answer = self.requests.post((request,))
        found = _WRITTEN.search(answer.fields)
        written = int(found[1]) if found else 0
        words = answer.rejection() or f"HTTP {answer.status} from '{answer.url}'"
        if written >= request.samples:
            return None
        if written:
            return Rejection(f"{request.samples - written} samples not written: {words}", request.samples - written)
        if answer.rejection() is not None:
            if self.is_too_old(words):
                return Rejection(words)
            raise SinkError(words)
        unsaid = "without the header X-Prometheus-Remote-Write-Samples-Written" if found is None else "of 0 samples"
        raise SinkError(f"{words} {unsaid}: nothing was written; a receiver of remote write 1.0 answers so")


def build(spec: Spec, context: SinkContext) -> RemoteWriteClient:
    """Return the sink of `spec`."""
    if spec.protocol_version == "2.0":
        return RemoteWriteClient2(spec, context)
    return RemoteWriteClient(spec, context, "application/x-protobuf", "0.1.0")
