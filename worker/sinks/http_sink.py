"""What all sinks have in common that post to one URL."""

from collections.abc import Mapping
from typing import Any

from common.specs import UrlSink
from worker.sinks.batching import Batching, Rejection
from worker.sinks.context import SinkContext
from worker.sinks.endpoint import parse_endpoint
from worker.sinks.http_headers import request_headers
from worker.sinks.http_requests import HttpRequests


class HttpSink:
    """Posts to one URL; what a request holds is the subclass's.

    Args:
        spec: the sink.
        context: of the worker.
        batching: what makes a request.
        content_type: of every request.
        headers: further ones, which replace others of the same name.
        action: how messages of failures begin, before the URL.
        path: what the protocol appends to the path of the URL.
        retried: as of `HttpRequests`.

    Attributes:
        batching: what makes a request.
    """

    def __init__(
        self,
        spec: UrlSink,
        context: SinkContext,
        batching: Batching,
        *,
        content_type: str,
        headers: Mapping[str, str],
        action: str,
        path: str = "",
        retried: frozenset[int] | None = None,
    ) -> None:
        self.batching = batching
        self._url = spec.url
        self._url_noun = spec.url_noun
        self._waiter = context.waiter
        self._content_type = content_type
        self._headers = headers
        self._action = action
        self._path = path
        self._retried = retried
        self._requests: HttpRequests | None = None

    def open(self) -> None:
        """Prepare requests; nothing is contacted.

        Raises:
            SinkOpenError: the URL, a header or a certificate file cannot be used.
        """
        endpoint = parse_endpoint(self._url, self._url_noun, self._path)
        headers = request_headers(endpoint, self._content_type, self._headers)
        self._requests = HttpRequests(endpoint, headers, self._action, self._waiter, self._retried)

    @property
    def requests(self) -> HttpRequests:
        """The connection; there from `open` on."""
        assert self._requests is not None  # noqa: S101 - open comes first
        return self._requests

    def send(self, request: Any) -> Rejection | None:
        """Post one body, as bytes or in parts; return what was said when it was refused for good.

        Raises:
            SinkError: it was not taken, and may be later.
        """
        assert self._requests is not None  # noqa: S101 - open comes first
        answer = self._requests.post((request,) if isinstance(request, bytes) else request)
        rejection = answer.rejection()
        return None if rejection is None else Rejection(rejection)

    def close(self) -> None:
        """Close the connection; safe twice and before `open`."""
        if self._requests is not None:
            self._requests.close()
