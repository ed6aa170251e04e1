"""The otlp_http sink: OpenTelemetry records as protobuf in POSTs. Source: docs/sinks.md, "OpenTelemetry"."""

import gzip
from collections.abc import Sequence
from typing import Final

from common.plan import EntryPlan
from common.specs import OtlpHttp
from common.units import duration_or_zero_us, nanoseconds
from worker.sinks.batching import Batching, Piece, Rejection
from worker.sinks.context import SinkContext
from worker.sinks.http_sink import HttpSink
from worker.sinks.otlp_answer import partial_success
from worker.sinks.otlp_export import Exports

_RETRIED: Final = frozenset({429, 502, 503, 504})
"""Source: OTLP, section "Retryable response codes"."""

_FAST: Final = 1
"""Level of gzip: bodies repeat themselves so much that more effort gains little."""


class OtlpHttpSink(HttpSink):
    """Exports to one receiver."""

    def __init__(self, spec: OtlpHttp, context: SinkContext) -> None:
        encoding = {"Content-Encoding": "gzip"} if spec.compression == "gzip" else {}
        super().__init__(
            spec,
            context,
            Batching(spec.batch_size, "records", nanoseconds(duration_or_zero_us(spec.max_buffer_age))),
            content_type="application/x-protobuf",
            headers=encoding | (spec.headers or {}),
            action="OTLP export to",
            path=f"/v1/{spec.signal_type}",
            retried=_RETRIED,
        )
        self._compresses = bool(encoding)
        self.relabel(context.plan)

    def relabel(self, plan: EntryPlan) -> None:
        """Export for the resource of `plan` from now on."""
        self._exports = Exports(plan)

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the export request of all records of `pieces`."""
        request = self._exports.request(pieces)
        return gzip.compress(request, _FAST, mtime=0) if self._compresses else request

    def send(self, request: bytes) -> Rejection | None:
        """Post one export request; what the receiver refused of it, or all of it, is returned.

        Raises:
            SinkError: it was not taken, and may be later.
        """
        answer = self.requests.post((request,))
        rejection = answer.rejection()
        return partial_success(answer.body) if rejection is None else Rejection(rejection)


def build(spec: OtlpHttp, context: SinkContext) -> OtlpHttpSink:
    """Return the sink of `spec`."""
    return OtlpHttpSink(spec, context)
