"""GET /scenarios/{id}/stats and GET /scenarios/{id}/metrics: read shared memory, never wait for a worker.

Source: docs/http.md, "Stats" and "Scrape one".
"""

import re
from typing import Final

import falcon
import msgspec

from common.clock import Clock
from common.families import CONTENT_TYPE
from supervisor.engine.control_plane import ControlPlane, Scenario
from supervisor.http import scrape
from supervisor.http.answers import stats
from supervisor.http.errors import BadQuery, UnknownScenario
from supervisor.http.routes import Route, Serves

_DEFAULT_LIMIT: Final = 100
_MAX_LIMIT: Final = 1000
_MAX_U64: Final = 2**64 - 1
_DIGITS: Final = re.compile(r"0*([0-9]{1,20})")


class ScenarioStats:
    """Live telemetry.

    Args:
        control_plane: knows the scenarios.
        clock: for elapsed times.
    """

    route = Route(Serves.READ)

    def __init__(self, control_plane: ControlPlane, clock: Clock) -> None:
        self._control_plane = control_plane
        self._clock = clock

    def on_get(self, req: falcon.Request, resp: falcon.Response, scenario_id: str) -> None:
        """Answer one consistent state of the counters."""
        del req
        scenario = _found(self._control_plane, scenario_id)
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(stats(scenario, self._clock.monotonic_ns(), self._clock.wall_ns()))

    on_head = on_get


class ScenarioMetrics:
    """Recent samples, each given once.

    Args:
        control_plane: knows the scenarios.
    """

    route = Route(Serves.READ)

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane

    def on_get(self, req: falcon.Request, resp: falcon.Response, scenario_id: str) -> None:
        """Take the buffered samples and answer the newest `limit`; 204 when there are none."""
        self._answer(req, resp, scenario_id, taking=True)

    def on_head(self, req: falcon.Request, resp: falcon.Response, scenario_id: str) -> None:
        """Answer as GET would, and leave the buffer alone."""
        self._answer(req, resp, scenario_id, taking=False)

    def _answer(self, req: falcon.Request, resp: falcon.Response, scenario_id: str, *, taking: bool) -> None:
        mode = _mode(req)
        limit = _limit(req) if mode == "drain" else 0
        scenario = _found(self._control_plane, scenario_id)
        if mode == "snapshot":
            body: bytes | None = scrape.snapshot(scenario.entry, scenario.current())
        else:
            body = scrape.events(scenario.entry.plan, scenario.drain() if taking else scenario.peek(), limit)
        if body is None:
            resp.status = falcon.HTTP_NO_CONTENT
        else:
            resp.content_type = CONTENT_TYPE
            resp.data = body


def _found(control_plane: ControlPlane, scenario_id: str) -> Scenario:
    scenario = control_plane.scenario(scenario_id)
    if scenario is None:
        raise UnknownScenario(scenario_id)
    return scenario


def _mode(req: falcon.Request) -> str:
    mode = req.params.get("mode", "drain")
    if mode not in ("drain", "snapshot"):
        raise BadQuery("query parameter mode: expected drain or snapshot, once")
    return str(mode)


def _limit(req: falcon.Request) -> int:
    text = req.params.get("limit", str(_DEFAULT_LIMIT))
    digits = _DIGITS.fullmatch(text) if isinstance(text, str) else None
    if digits is None or int(digits[1]) > _MAX_U64:
        raise BadQuery(f"query parameter limit: expected one decimal integer from 0 to {_MAX_U64}")
    return min(int(digits[1]), _MAX_LIMIT)
