"""The http_push sink: events back to back as the body of a POST. Source: docs/sinks.md, "Sinks that send requests"."""

from collections.abc import Sequence
from typing import Final

from common.specs import HttpPush
from common.units import duration_or_zero_us, nanoseconds
from worker.sinks.batching import Batching, Piece
from worker.sinks.context import SinkContext
from worker.sinks.http_sink import HttpSink

_MOST_PARTS: Final = 64
"""What the system takes in one call is bounded, and small parts are cheaper copied."""


class HttpPushSink(HttpSink):
    """Posts to one URL."""

    def request(self, pieces: Sequence[Piece]) -> Sequence[bytes | memoryview]:
        """Return the events of `pieces` as parts of one body."""
        parts = [piece.payload for piece in pieces]
        return parts if len(parts) <= _MOST_PARTS else [b"".join(parts)]


def build(spec: HttpPush, context: SinkContext) -> HttpPushSink:
    """Return the sink of `spec`."""
    batching = Batching(spec.batch_size, "bytes", nanoseconds(duration_or_zero_us(spec.max_buffer_age)))
    return HttpPushSink(
        spec,
        context,
        batching,
        content_type=spec.content_type,
        headers=spec.headers or {},
        action="HTTP push to",
    )
