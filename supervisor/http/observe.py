"""GET /scenarios/{id}/stats and GET /scenarios/{id}/metrics: read shared memory, never wait for a worker.

Source: docs/http.md, "Stats" and "Scrape one".
"""

from typing import Final

import falcon
import msgspec

from common.board import Recent
from common.clock import Clock
from common.families import CONTENT_TYPE
from supervisor.engine.control_plane import ControlPlane, Scenario
from supervisor.http import scrape
from supervisor.http.answers import stats
from supervisor.http.errors import BadQuery, UnknownScenario
from supervisor.http.query import count
from supervisor.http.routes import Route, Serves

_DEFAULT_LIMIT: Final = 100
_MAX_LIMIT: Final = 1000
_MAX_U64: Final = 2**64 - 1


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
        """Take the buffered samples, or look at the newest, and answer the newest `limit`; 204 when there are none."""
        self._answer(req, resp, scenario_id, taking=True)

    def on_head(self, req: falcon.Request, resp: falcon.Response, scenario_id: str) -> None:
        """Answer as GET would, and leave the buffer alone."""
        self._answer(req, resp, scenario_id, taking=False)

    def _answer(self, req: falcon.Request, resp: falcon.Response, scenario_id: str, *, taking: bool) -> None:
        mode = _mode(req)
        limit = 0 if mode == "snapshot" else min(count(req, "limit", _DEFAULT_LIMIT, _MAX_U64), _MAX_LIMIT)
        scenario = _found(self._control_plane, scenario_id)
        if mode == "snapshot":
            scrape.check_bytes(scenario.current_bytes(), "`mode=recent` has the newest samples")
            body: bytes | None = scrape.snapshot(scenario.entry, scenario.current())
        else:
            recent = _samples(scenario, mode, taking=taking)
            body = scrape.events(scenario.entry.plan, recent, limit, scenario.earlier)
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
    if mode not in ("drain", "snapshot", "recent"):
        raise BadQuery("query parameter mode: expected drain, snapshot or recent, once")
    return str(mode)


def _samples(scenario: Scenario, mode: str, *, taking: bool) -> Recent:
    if mode == "recent":
        return scenario.newest()
    return scenario.drain() if taking else scenario.peek()
