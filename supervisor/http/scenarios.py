"""POST, GET /scenarios and GET, DELETE /scenarios/{id}.

Source: docs/http.md, "Start", "List and show" and "Stop".
"""

import logging
from dataclasses import replace
from typing import Final

import falcon
import msgspec

from common.clock import Clock
from common.errors import CompileError
from common.logs import fields
from supervisor.compiler import BodyFormat, Compiled
from supervisor.engine.control_plane import ControlPlane
from supervisor.http.answers import Deleted, ScenarioList, UnresolvedRef, detail, dry_run_answer, launch_answer, listed
from supervisor.http.errors import BadQuery, UnknownScenario, UnresolvedReferences
from supervisor.http.routes import Route, Serves
from supervisor.intake.intake import Intake

logger = logging.getLogger(__name__)

_ORIGIN: Final = "POST /scenarios"
_HTML_FORM: Final = "application/x-www-form-urlencoded"
_HTML_FORM_HINT: Final = (
    f"Content-Type is {_HTML_FORM}; send text/yaml, with curl as -H 'Content-Type: text/yaml' --data-binary @FILE"
)


class ScenarioCollection:
    """All scenarios of the daemon.

    Args:
        control_plane: knows them.
        intake: starts them.
        clock: for elapsed times and deadlines.
        timeout_secs: a launch that takes longer is undone.
    """

    route = Route(Serves.CONTROL, ("GET", "HEAD", "POST"), takes_body=True, needs_place=True)

    def __init__(self, control_plane: ControlPlane, intake: Intake, clock: Clock, timeout_secs: float) -> None:
        self._control_plane = control_plane
        self._intake = intake
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
        """Compile the body and launch all of its entries, or none; with `dry_run` only tell what would be launched."""
        only_tell = _flag(req, "dry_run")
        # Compiling is bounded by the body's size and cannot be interrupted; what it took is missing for the launch.
        deadline_ns = self._clock.monotonic_ns() + round(self._timeout_secs * 1e9)
        compiled = self._compile(req.bounded_stream.read(), req.content_type)
        if "validate=strict" in req.query_string.split("&"):
            self._check_references(compiled)
        if only_tell:
            plan, warnings = self._intake.examine(compiled)
            resp.content_type = falcon.MEDIA_JSON
            resp.data = msgspec.json.encode(dry_run_answer(plan, warnings))
            return
        launched = self._intake.launch(compiled, _ORIGIN, deadline_ns)
        resp.status = falcon.HTTP_CREATED
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(launch_answer(launched.scenarios, launched.warnings))

    def _compile(self, payload: bytes, content_type: str | None) -> Compiled:
        try:
            return self._intake.compile(payload, _form(content_type))
        except CompileError as exc:
            if content_type is not None and content_type.startswith(_HTML_FORM) and not exc.faults[0].path:
                exc.faults = (replace(exc.faults[0], hint=_HTML_FORM_HINT), *exc.faults[1:])
            logger.warning("%s: invalid request body", _ORIGIN, extra=fields(origin=_ORIGIN, error=exc.detail))
            raise

    def _check_references(self, compiled: Compiled) -> None:
        """Refuse a body with a gate that would have to wait. Source: docs/http.md, "Start"."""
        clauses = [(entry.id or "", entry.while_) for entry in compiled.entries if entry.while_ is not None]
        references = [
            UnresolvedRef(clause.scenario_name, clause.ref, entry_id)
            for entry_id, clause in clauses
            if clause.scenario_name not in (None, compiled.scenario_name)
            and not self._control_plane.is_published(clause.scenario_name, clause.ref)
        ]
        if references:
            logger.warning(
                "%s?validate=strict: rejecting body with unresolved refs",
                _ORIGIN,
                extra=fields(count=len(references), origin=_ORIGIN),
            )
            raise UnresolvedReferences(references)


class ScenarioItem:
    """One scenario.

    Args:
        control_plane: knows it and stops it.
        clock: for elapsed times.
        timeout_secs: a stop that takes longer goes on without the client.
    """

    route = Route(Serves.CONTROL, ("GET", "HEAD", "DELETE"))

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
        """Stop the worker, wait until it is gone, and tell the final count."""
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


def _flag(req: falcon.Request, name: str) -> bool:
    """Return whether a parameter is true. What is neither is refused, because a launch cannot be taken back."""
    value = req.get_param(name)
    if value not in (None, "true", "false"):
        raise BadQuery(f"{name}: expected true or false")
    return value == "true"


def _form(content_type: str | None) -> BodyFormat:
    """YAML when it says so or says nothing, else JSON. Source: docs/http.md, "Start"."""
    return BodyFormat.YAML if content_type is None or "yaml" in content_type.lower() else BodyFormat.JSON
