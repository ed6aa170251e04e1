"""Requests that were answered, by route, method and status, and how long each took.

Source: docs/http.md, "The daemon itself".
"""

import threading
from bisect import bisect_left
from typing import Any, Final

import falcon
import msgspec

from common.clock import Clock
from supervisor.http.paths import route_of
from supervisor.http.routes import Resource

BUCKETS_SECS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_UNAUTHORIZED: Final = 401
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_OTHER_METHOD: Final = "OTHER"
"""What a method nobody knows is counted as: a client must not be able to make up series."""


class Durations(msgspec.Struct):
    """A histogram of durations.

    Attributes:
        counts: per bucket of BUCKETS_SECS and one for what is longer; not cumulative.
        sum_secs: of all durations.
    """

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BUCKETS_SECS) + 1))
    sum_secs: float = 0.0


class RequestCounts:
    """The counts; any thread may add and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: dict[tuple[str, str, int], int] = {}
        self._durations: dict[tuple[str, str], Durations] = {}

    def add(self, route: str, method: str, status: int, duration_secs: float) -> None:
        """Count one answered request."""
        with self._lock:
            key = (route, method, status)
            self._statuses[key] = self._statuses.get(key, 0) + 1
            durations = self._durations.setdefault((route, method), Durations())
            durations.counts[bisect_left(BUCKETS_SECS, duration_secs)] += 1
            durations.sum_secs += duration_secs

    def statuses(self) -> list[tuple[tuple[str, str, int], int]]:
        """Return the requests by route, method and status, in this order."""
        with self._lock:
            return sorted(self._statuses.items())

    def durations(self) -> list[tuple[tuple[str, str], Durations]]:
        """Return the durations by route and method, in this order."""
        with self._lock:
            return [(key, Durations(list(one.counts), one.sum_secs)) for key, one in sorted(self._durations.items())]


class CountRequests:
    """Falcon middleware that counts; the first of all, so that it sees the time of all others.

    Public routes, unknown paths and answers to clients without a key are not counted.

    Args:
        counts: where they go.
        clock: for durations.
    """

    def __init__(self, counts: RequestCounts, clock: Clock) -> None:
        self._counts = counts
        self._clock = clock

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Note when the request began."""
        del resp
        req.context.begun_ns = self._clock.monotonic_ns()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: Resource | None, req_succeeded: bool
    ) -> None:
        """Count the request; its answer is complete, so that no scrape contains itself."""
        del req_succeeded
        status = falcon.http_status_to_code(resp.status)
        if resource is None or resource.route.public or status == _UNAUTHORIZED:
            return
        template: Any = req.uri_template
        method = req.method if req.method in _METHODS else _OTHER_METHOD
        duration_secs = (self._clock.monotonic_ns() - req.context.begun_ns) / 1e9
        self._counts.add(route_of(template), method, status, duration_secs)
