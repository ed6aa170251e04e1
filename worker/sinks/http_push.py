"""The http_push sink: events back to back as the body of a POST.

Source: docs/sinks.md, "What the answer means" and "Sinks that send requests".
"""

from collections.abc import Sequence

from common.specs import HttpPush
from common.units import duration_or_zero_us, nanoseconds
from worker.sinks.batching import Batching, Piece
from worker.sinks.context import SinkContext
from worker.sinks.endpoint import parse_endpoint
from worker.sinks.http_headers import request_headers
from worker.sinks.http_requests import HttpRequests


class HttpPushSink:
    """Posts to one URL.

    Attributes:
        batching: what makes a request.
    """

    def __init__(self, spec: HttpPush, context: SinkContext) -> None:
        self.batching = Batching(spec.batch_size, "bytes", nanoseconds(duration_or_zero_us(spec.max_buffer_age)))
        self._spec = spec
        self._waiter = context.waiter
        self._requests: HttpRequests | None = None

    def open(self) -> None:
        """Prepare requests; nothing is contacted.

        Raises:
            SinkOpenError: the URL, a header or a certificate file cannot be used.
        """
        endpoint = parse_endpoint(self._spec.url, self._spec.url_noun)
        headers = request_headers(endpoint, self._spec.content_type, self._spec.headers or {})
        self._requests = HttpRequests(endpoint, headers, "HTTP push to", self._waiter)

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the events of `pieces` as one body."""
        return b"".join(piece.payload for piece in pieces)

    def send(self, request: bytes) -> str | None:
        """Post one body; return None when it was taken, or what was said when it was refused for good.

        Raises:
            SinkError: it was not taken, and may be later.
        """
        assert self._requests is not None  # noqa: S101 - open comes first
        return self._requests.post(request).rejection

    def close(self) -> None:
        """Close the connection; safe twice and before `open`."""
        if self._requests is not None:
            self._requests.close()


def build(spec: HttpPush, context: SinkContext) -> HttpPushSink:
    """Return the sink of `spec`."""
    return HttpPushSink(spec, context)
