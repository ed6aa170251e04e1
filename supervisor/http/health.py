"""GET /health: the process answers; GET /ready: the autostart sweep has nothing left to start.

Neither depends on a worker, a lock or a thread of the control calls.

Source: docs/http.md, "Probes".
"""

from collections.abc import Callable

import falcon
import msgspec

from supervisor.http.routes import Route, Serves
from supervisor.intake.autostart import Readiness


class Health:
    """Liveness, always public."""

    route = Route(Serves.PROBE, public=True)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200."""
        del req
        resp.content_type = falcon.MEDIA_JSON
        resp.data = b'{"status":"ok"}'

    on_head = on_get


class Ready:
    """Readiness, always public.

    Args:
        readiness: tells how far the sweep is.
    """

    route = Route(Serves.PROBE, public=True)

    def __init__(self, readiness: Callable[[], Readiness]) -> None:
        self._readiness = readiness

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, or 503 while the sweep runs, for ever after it died, and while the main loop does not turn."""
        del req
        readiness = self._readiness()
        if readiness.status in ("in_progress", "failed", "unresponsive"):
            resp.status = falcon.HTTP_SERVICE_UNAVAILABLE
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(readiness)

    on_head = on_get
