"""POST, GET /scenarios and GET, DELETE /scenarios/{id}.

Source: HTTP contract, sections 7, 9, 10 and 12.
"""

import logging
from typing import Final

import falcon
import msgspec

from common.clock import Clock
from common.errors import CompileError
from common.logs import fields
from common.plan import Plan
from supervisor.compiler import Body, Compiled, Context, compile_scenario, prepare
from supervisor.control_plane import CallTimeoutError, CapacityError, ControlPlane, LaunchError, NameConflict, Scenario
from supervisor.http.answers import Deleted, ScenarioList, detail, launch_answer, listed
from supervisor.http.errors import UnknownScenario
from supervisor.preflight import warnings as preflight_warnings

logger = logging.getLogger(__name__)

_ORIGIN: Final = "POST /scenarios"


class ScenarioCollection:
    """All scenarios of the daemon.

    Args:
        control_plane: starts them and knows them.
        context: what compiling may use.
        clock: for elapsed times and deadlines.
        timeout_secs: a launch that takes longer is undone.
    """

    allow = ("GET", "HEAD", "POST")
    public = False

    def __init__(self, control_plane: ControlPlane, context: Context, clock: Clock, timeout_secs: float) -> None:
        self._control_plane = control_plane
        self._context = context
        self._clock = clock
        self._timeout_secs = timeout_secs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the scenarios in launch order, finished ones included."""
        del req
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        rows = [listed(scenario, now_ns, wall_ns) for scenario in self._control_plane.scenarios()]
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(ScenarioList(rows))

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Compile the body and launch all of its entries, or none."""
        begun_ns = self._clock.monotonic_ns()
        plan = self._prepare(self._compile(req.bounded_stream.read(), _form(req.content_type)))
        warnings = preflight_warnings(plan)
        for warning in warnings:
            logger.warning("%s: sink pre-flight warning", _ORIGIN, extra=fields(message=warning, origin=_ORIGIN))
        # Compiling is bounded by the body's size and cannot be interrupted; what it took is missing for the launch.
        timeout_secs = self._timeout_secs - (self._clock.monotonic_ns() - begun_ns) / 1e9
        scenarios = self._launch(plan, timeout_secs)
        answer = launch_answer(scenarios, warnings)
        resp.status = falcon.HTTP_CREATED
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(answer)

    def _compile(self, payload: bytes, form: Body) -> Compiled:
        try:
            return compile_scenario(payload, form, self._context)
        except CompileError as exc:
            logger.warning("%s: invalid request body", _ORIGIN, extra=fields(origin=_ORIGIN, error=exc.detail))
            raise

    def _prepare(self, compiled: Compiled) -> Plan:
        conflicting = self._control_plane.conflicts(compiled.scenario_name)
        if compiled.scenario_name is not None and conflicting:
            _log_conflict(compiled.scenario_name, conflicting)
            raise NameConflict(compiled.scenario_name, conflicting)
        try:
            return prepare(compiled, self._context)
        except CompileError as exc:
            logger.warning("%s: validation failed", _ORIGIN, extra=fields(origin=_ORIGIN, error=exc.detail))
            raise

    def _launch(self, plan: Plan, timeout_secs: float) -> list[Scenario]:
        if timeout_secs <= 0:
            raise CallTimeoutError("compiling the body took the request's whole time")
        try:
            scenarios = self._control_plane.launch(plan, timeout_secs)
        except NameConflict as exc:
            _log_conflict(plan.scenario_name, exc.conflicting)
            raise
        except CapacityError:
            needed = len(plan.entries)
            logger.warning("%s: scenario cap reached", _ORIGIN, extra=fields(needed=needed, origin=_ORIGIN))
            raise
        except LaunchError as exc:
            logger.warning("%s: failed to launch scenarios", _ORIGIN, extra=fields(origin=_ORIGIN, error=exc))
            raise
        for scenario in scenarios:
            shown = listed(scenario, self._clock.monotonic_ns(), self._clock.wall_ns())
            logger.info(
                "scenario launched", extra=fields(id=shown.id, name=shown.name, state=shown.state, origin=_ORIGIN)
            )
        return scenarios


class ScenarioItem:
    """One scenario.

    Args:
        control_plane: knows it and stops it.
        clock: for elapsed times.
        timeout_secs: a stop that takes longer goes on without the client.
    """

    allow = ("GET", "HEAD", "DELETE")
    public = False

    def __init__(self, control_plane: ControlPlane, clock: Clock, timeout_secs: float) -> None:
        self._control_plane = control_plane
        self._clock = clock
        self._timeout_secs = timeout_secs

    def on_get(self, req: falcon.Request, resp: falcon.Response, scenario_id: str) -> None:
        """Show configuration, counters and elapsed time."""
        del req
        scenario = self._control_plane.scenario(scenario_id)
        if scenario is None:
            raise UnknownScenario(scenario_id)
        shown = detail(scenario, self._clock.monotonic_ns(), self._clock.wall_ns())
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(shown)

    on_head = on_get

    def on_delete(self, req: falcon.Request, resp: falcon.Response, scenario_id: str) -> None:
        """Stop the worker, wait until it has gone, and tell the final count."""
        del req
        result = self._control_plane.stop(scenario_id, self._timeout_secs)
        if result is None:
            raise UnknownScenario(scenario_id)
        logger.info(
            "scenario deleted",
            extra=fields(id=scenario_id, status=result.status, total_events=result.total_events),
        )
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(Deleted(scenario_id, result.status, result.total_events))


def _form(content_type: str | None) -> Body:
    """Source: HTTP contract, section 7.1: YAML when it says so or says nothing, else JSON."""
    return Body.YAML if content_type is None or "yaml" in content_type.lower() else Body.JSON


def _log_conflict(scenario_name: str | None, conflicting: list[Scenario]) -> None:
    logger.warning(
        "%s: rejected duplicate scenario_name",
        _ORIGIN,
        extra=fields(scenario_name=scenario_name, count=len(conflicting), origin=_ORIGIN),
    )
