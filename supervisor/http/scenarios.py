"""POST, GET /scenarios and GET, PATCH, DELETE /scenarios/{id}.

Source: docs/http.md, "Start", "List and show", "Change" and "Stop".
"""

import logging
from dataclasses import replace
from typing import Final

import falcon
import msgspec

from common.clock import Clock
from common.errors import CompileError
from common.logs import fields
from common.segments import Segment
from supervisor.compiler import Asked, BodyFormat, Compiled
from supervisor.compiler.timing.start_at import parse_start_at
from supervisor.engine.control_plane import ControlPlane
from supervisor.http.answers import (
    Deleted,
    ScenarioList,
    UnresolvedRef,
    change_answer,
    detail,
    launch_answer,
    listed,
    stats,
)
from supervisor.http.dry_run import DEFAULT_PREVIEW_SECS, MOST_PREVIEW_SECS, dry_run_answer, preview_of
from supervisor.http.errors import BadQuery, UnknownScenario, UnresolvedReferences
from supervisor.http.listing import rows
from supervisor.http.query import count, flag, parsed
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

    route = Route(Serves.CONTROL, ("GET", "HEAD", "POST"), takes_body=True, needs_place=True, reads_apart=True)

    def __init__(self, control_plane: ControlPlane, intake: Intake, clock: Clock, timeout_secs: float) -> None:
        self._control_plane = control_plane
        self._intake = intake
        self._clock = clock
        self._timeout_secs = timeout_secs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the scenarios in launch order, finished ones included; with `stats` all that a table of them shows."""
        with_stats = flag(req, "stats")
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        scenarios = self._control_plane.scenarios()
        resp.content_type = falcon.MEDIA_JSON
        if with_stats:
            resp.data = msgspec.json.encode(rows(scenarios, now_ns, wall_ns))
        else:
            resp.data = msgspec.json.encode(ScenarioList([listed(one, now_ns, wall_ns) for one in scenarios]))

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Compile the body and launch all of its entries, or none; with `dry_run` only tell what would be launched."""
        only_tell = flag(req, "dry_run")
        preview_secs = count(req, "preview_secs", DEFAULT_PREVIEW_SECS, MOST_PREVIEW_SECS) if only_tell else 0
        asked = _asked(req, self._clock.wall_ns())
        # Compiling is bounded by the body's size and cannot be interrupted; what it took is missing for the launch.
        deadline_ns = self._clock.monotonic_ns() + round(self._timeout_secs * 1e9)
        compiled = self._compile(req.bounded_stream.read(), req.content_type)
        if "validate=strict" in req.query_string.split("&"):
            self._check_references(compiled)
        if only_tell:
            plan, warnings = self._intake.examine(compiled, asked)
            left_secs = (deadline_ns - self._clock.monotonic_ns()) / 1e9
            preview = preview_of(self._control_plane, plan, preview_secs, left_secs)
            resp.content_type = falcon.MEDIA_JSON
            resp.data = msgspec.json.encode(dry_run_answer(plan, warnings, preview))
            return
        launched = self._intake.launch(compiled, _ORIGIN, deadline_ns, asked)
        resp.status = falcon.HTTP_CREATED
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(launch_answer(launched.scenarios, launched.warnings, launched.segment))

    def _compile(self, payload: bytes, content_type: str | None) -> Compiled:
        try:
            return self._intake.compile(payload, _form(content_type))
        except CompileError as exc:
            _hint_at_form(exc, content_type)
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
        control_plane: knows it, changes it and stops it.
        intake: reads changes.
        clock: for elapsed times.
        timeout_secs: a stop that takes longer goes on without the client, a change is not made.
    """

    route = Route(Serves.CONTROL, ("GET", "HEAD", "PATCH", "DELETE"), takes_body=True, reads_apart=True)

    def __init__(self, control_plane: ControlPlane, intake: Intake, clock: Clock, timeout_secs: float) -> None:
        self._control_plane = control_plane
        self._intake = intake
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

    def on_patch(self, req: falcon.Request, resp: falcon.Response, scenario_id: str) -> None:
        """Change the scenario at its next tick, and tell which that is."""
        payload, form = req.bounded_stream.read(), _form(req.content_type)
        try:
            result = self._control_plane.retune(
                scenario_id, lambda entry: self._intake.read_change(entry, payload, form), self._timeout_secs
            )
        except CompileError as exc:
            _hint_at_form(exc, req.content_type)
            raise
        scenario = self._control_plane.scenario(scenario_id)
        if result is None or scenario is None:
            raise UnknownScenario(scenario_id)
        if result.retuned is not None:
            tick, changes = result.retuned.tick, ",".join(result.retuned.changes)
            shown = {"id": scenario_id, "name": scenario.entry.plan.name, "tick": tick, "changes": changes}
            logger.info("scenario changed", extra=fields(**shown))
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(change_answer(scenario, result))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, scenario_id: str) -> None:
        """Stop the worker, wait until it is gone, and tell the final count; with `stats` all final figures."""
        tells_stats = flag(req, "stats")
        scenario = self._control_plane.scenario(scenario_id)
        result = self._control_plane.stop(scenario_id, self._timeout_secs)
        if scenario is None or result is None:
            raise UnknownScenario(scenario_id)
        logger.info(
            "scenario deleted",
            extra=fields(id=scenario_id, status=result.status, total_events=result.total_events),
        )
        resp.content_type = falcon.MEDIA_JSON
        last = stats(scenario, self._clock.monotonic_ns(), self._clock.wall_ns()) if tells_stats else msgspec.UNSET
        resp.data = msgspec.json.encode(Deleted(scenario_id, result.status, result.total_events, last))


def _asked(req: falcon.Request, wall_ns: int) -> Asked:
    """Return how a body is to run, apart from what stands in it."""
    resumes = flag(req, "resume")
    start_at_ns = parsed(req, "start_at", lambda text: parse_start_at(text, wall_ns, resumes=resumes))
    if resumes and start_at_ns is None:
        raise BadQuery("resume: start_at is missing, the instant at which the run was started")
    segment, digest = parsed(req, "segment", Segment.parse), flag(req, "digest")
    return Asked(segment=segment, start_at_ns=start_at_ns, resumes=resumes, digest=digest)


def _hint_at_form(error: CompileError, content_type: str | None) -> None:
    """Say what may be wrong with a text that cannot be read when a tool has sent it as it sends forms."""
    if content_type is not None and content_type.startswith(_HTML_FORM) and not error.faults[0].path:
        error.faults = (replace(error.faults[0], hint=_HTML_FORM_HINT), *error.faults[1:])


def _form(content_type: str | None) -> BodyFormat:
    """YAML when it says so or says nothing, else JSON. Source: docs/http.md, "Start"."""
    return BodyFormat.YAML if content_type is None or "yaml" in content_type.lower() else BodyFormat.JSON
