"""GET /health: the process answers; GET /ready: nothing is left to start or to go on.

Neither depends on a worker, a lock or a thread of the control calls.

Source: docs/http.md, "Probes".
"""

from collections.abc import Callable

import falcon
import msgspec

from supervisor.http.routes import Route, Serves
from supervisor.intake.autostart import Readiness


class Health:
    """Liveness, always public.

    Args:
        overloaded: tells whether the machine cannot keep up.
    """

    route = Route(Serves.PROBE, public=True)

    def __init__(self, overloaded: Callable[[], bool]) -> None:
        self._overloaded = overloaded

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200: a daemon whose ticks are late is alive, and says so."""
        del req
        resp.content_type = falcon.MEDIA_JSON
        resp.data = b'{"status":"ok","overloaded":true}' if self._overloaded() else b'{"status":"ok"}'

    on_head = on_get


class ReadyResource:
    """Readiness, always public.

    Args:
        readiness: tells how far the start is.
    """

    route = Route(Serves.PROBE, public=True)

    def __init__(self, readiness: Callable[[], Readiness]) -> None:
        self._readiness = readiness

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, or 503 while something is left to start, after that died, and while the loop does not turn."""
        del req
        readiness = self._readiness()
        if readiness.status in ("in_progress", "failed", "unresponsive"):
            resp.status = falcon.HTTP_SERVICE_UNAVAILABLE
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(readiness)

    on_head = on_get
