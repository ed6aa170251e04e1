"""POST /events: one event through one sink, answered when the destination has it.

Source: docs/http.md, "Single events".
"""

import logging
from collections.abc import Callable
from typing import Final

import falcon
import msgspec

from common.clock import Clock
from common.errors import SondadError
from common.logs import fields
from common.plan import EntryPlan, FileAccess
from common.specs import kind_of
from supervisor.compiler.event import plan_event, read_event
from supervisor.engine.control_plane import ControlPlane
from supervisor.http.answers import Sent
from supervisor.http.routes import Route, Serves
from supervisor.intake.preflight import loopback_warnings

logger = logging.getLogger(__name__)

_ORIGIN: Final = "POST /events"
_NS_PER_MS: Final = 1_000_000


class Events:
    """Single events, synchronously.

    Args:
        control_plane: has them delivered.
        files: tells where they may be written to.
        clock: for deadlines and latencies.
        timeout_secs: a delivery that takes longer is broken off.
    """

    route = Route(Serves.CONTROL, ("POST",), takes_body=True)

    def __init__(
        self, control_plane: ControlPlane, files: Callable[[], FileAccess], clock: Clock, timeout_secs: float
    ) -> None:
        self._control_plane = control_plane
        self._files = files
        self._clock = clock
        self._timeout_secs = timeout_secs

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Deliver the event of the body."""
        begun_ns = self._clock.monotonic_ns()
        posted = read_event(req.bounded_stream.read())
        event = posted.event
        warnings = loopback_warnings(f"events.{event.signal_type}", event.sink)
        for warning in warnings:
            logger.warning("%s: sink pre-flight warning", _ORIGIN, extra=fields(message=warning, origin=_ORIGIN))
        entry = plan_event(posted, self._files())
        latency_ms = self._deliver(entry, begun_ns) // _NS_PER_MS
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(Sent(True, event.signal_type, latency_ms, warnings or msgspec.UNSET))

    def _deliver(self, entry: EntryPlan, begun_ns: int) -> int:
        what = {"signal_type": entry.signal_type, "sink_type": kind_of(entry.sink)}
        left_secs = self._timeout_secs - (self._clock.monotonic_ns() - begun_ns) / 1e9
        try:
            latency_ns = self._control_plane.deliver(entry, left_secs)
        except SondadError as exc:
            taken_ms = (self._clock.monotonic_ns() - begun_ns) // _NS_PER_MS
            shown = fields(**what, latency_ms=taken_ms, result="error", error=exc)
            logger.info("%s: event delivery failed", _ORIGIN, extra=shown)
            raise
        shown = fields(**what, latency_ms=latency_ns // _NS_PER_MS, result="ok")
        logger.info("%s: event delivered", _ORIGIN, extra=shown)
        return latency_ns
