"""What each route answers to each method, in words and in the Structs that are encoded.

Source: docs/http.md; docs/states.md; docs/relay.md, "Beside the control plane".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import falcon

from common.states import State
from supervisor.http.answers import Deleted, Detail, DryRun, Launched, LaunchedList, ScenarioList, Sent, Stats
from supervisor.http.errors import Capacity, Conflict, Envelope, Refusal, Unresolved
from supervisor.intake.autostart import Readiness

Media = str
Shape = type | tuple[type, ...] | dict[str, Any]
"""A Struct, several of which one is answered, or a schema as it is."""

JSON: Final = falcon.MEDIA_JSON
TEXT: Final = "text/plain"
YAML: Final = "text/yaml"
_ANY_TEXT: Final = {"type": "string"}
_ANY_OBJECT: Final = {"type": "object"}
_HEALTHY: Final = {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]}
_SCENARIO_BODY: Final = {
    "anyOf": [{"$ref": "#/components/schemas/scenario.canonical"}, {"$ref": "#/components/schemas/scenario.flat"}]
}

_TEXTS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_KIND: Final = {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]}
_EVENT_BODY: Final = {
    "type": "object",
    "properties": {
        "signal_type": {"enum": ["logs", "metrics"]},
        "labels": _TEXTS,
        "log": {
            "type": "object",
            "properties": {
                "severity": {"enum": ["trace", "debug", "info", "warn", "warning", "error", "fatal"]},
                "message": {"type": "string"},
                "fields": _TEXTS,
            },
            "required": ["severity", "message"],
        },
        "metric": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "value": {"type": "number"}},
            "required": ["name", "value"],
        },
        "encoder": _KIND,
        "sink": _KIND,
    },
    "required": ["signal_type", "encoder", "sink"],
}
"""`log` or `metric` by the signal type; encoder and sink as in a scenario file. Unknown keys are ignored."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One status of an operation; without a body it is an empty answer."""

    description: str
    body: Shape | None = None
    media: Media = JSON
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route.

    Attributes:
        name: unique among all operations.
        summary: what it does.
        responses: by status; what the route's class adds (401, 408, 413) is not listed.
        parameters: of the query, by name, as OpenAPI describes them.
        request: the body by media type.
        error: what refuses a client without a key.
    """

    name: str
    summary: str
    responses: Mapping[int, Answered]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    request: Mapping[Media, Shape] = field(default_factory=dict)
    error: type = Envelope


_NOT_FOUND: Final = Answered("There is no such scenario.", Envelope)
_BAD_QUERY: Final = Answered("A query parameter cannot be used; the detail names it.", Envelope)
_EXPOSITION: Final = "Prometheus text exposition format."
_UNMODIFIED: Final = Answered("The client has it.", headers=("ETag", "Cache-Control"))
_RELAY_DOWN: Final = Answered("The relay does not answer.", Envelope)


def _document(what: str) -> dict[int, Answered]:
    return {200: Answered(what, _ANY_OBJECT, headers=("ETag", "Cache-Control")), 304: _UNMODIFIED}


OPERATIONS: Final[Mapping[str, Mapping[str, Operation]]] = {
    "/health": {
        "GET": Operation("health", "Show that the daemon answers.", {200: Answered("The daemon answers.", _HEALTHY)}),
    },
    "/ready": {
        "GET": Operation(
            "ready",
            "Show whether autostart has started everything.",
            {
                200: Answered("Autostart is finished, or not configured.", Readiness),
                503: Answered("Autostart is running, or it failed.", Readiness),
            },
        ),
    },
    "/schema": {
        "GET": Operation(
            "schema", "Return the JSON Schema of scenario files.", _document("JSON Schema, draft 2020-12.")
        ),
    },
    "/openapi.json": {
        "GET": Operation("openapi", "Return this document.", _document("OpenAPI 3.1.")),
    },
    "/scenarios": {
        "GET": Operation(
            "listScenarios",
            "List all scenarios not yet deleted, in launch order.",
            {200: Answered("All scenarios, finished ones included.", ScenarioList)},
        ),
        "POST": Operation(
            "postScenarios",
            "Compile a scenario file and start all of its entries, or none of them.",
            {
                200: Answered("With `dry_run`: what would be started.", DryRun),
                201: Answered(
                    "All entries were started; one is answered with an object, several with a list.",
                    (Launched, LaunchedList),
                ),
                400: Answered(
                    "The text does not compile, and `faults` has every mistake; or a query parameter cannot be used.",
                    (Refusal, Envelope),
                ),
                409: Answered("A scenario of this scenario_name is active.", Conflict),
                422: Answered(
                    "The text compiles, but a value is invalid, or a gate is unresolved.", (Refusal, Unresolved)
                ),
                429: Answered("The maximum number of scenarios is reached.", Capacity),
                500: Answered("No process could be started.", Envelope),
            },
            request={JSON: _SCENARIO_BODY, YAML: _ANY_TEXT},
            parameters={
                "dry_run": {
                    "description": "`true` only tells what would be started; a faulty body is refused all the same.",
                    "schema": {"enum": ["true", "false"], "default": "false"},
                },
                "validate": {
                    "description": "strict also refuses a body with a gate on an entry that is not running.",
                    "schema": {"type": "string"},
                },
            },
        ),
    },
    "/scenarios/metrics": {
        "GET": Operation(
            "scrapeScenarios",
            "Return the newest value of every series of all scenarios; removes nothing.",
            {200: Answered(_EXPOSITION, _ANY_TEXT, TEXT), 400: _BAD_QUERY},
            parameters={
                "label": {
                    "description": "key:value of a static label; when repeated, all must match.",
                    "schema": {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:.+$"}},
                },
                "include_state": {
                    "description": "States of the scenarios to show, separated by commas.",
                    "schema": {"type": "array", "items": {"enum": [state.wire for state in State]}, "minItems": 1},
                    "style": "form",
                    "explode": False,
                },
            },
        ),
    },
    "/scenarios/{id}": {
        "GET": Operation(
            "showScenario",
            "Show configuration, counters and elapsed time.",
            {200: Answered("The scenario.", Detail), 404: _NOT_FOUND},
        ),
        "DELETE": Operation(
            "deleteScenario",
            "Stop a scenario, wait until its process has exited, and remove it.",
            {
                200: Answered("The scenario is stopped; the answer has its final count.", Deleted),
                404: _NOT_FOUND,
                500: Answered("The daemon is shutting down.", Envelope),
            },
        ),
    },
    "/scenarios/{id}/stats": {
        "GET": Operation(
            "scenarioStats", "Return live counters.", {200: Answered("The counters.", Stats), 404: _NOT_FOUND}
        ),
    },
    "/scenarios/{id}/metrics": {
        "GET": Operation(
            "scrapeScenario",
            "Remove and return the buffered samples, or show the newest of each series.",
            {
                200: Answered(_EXPOSITION, _ANY_TEXT, TEXT),
                204: Answered("There is no new sample since the last scrape."),
                400: _BAD_QUERY,
                404: _NOT_FOUND,
            },
            parameters={
                "limit": {
                    "description": "How many of the newest samples to return; at most 1000.",
                    "schema": {"type": "integer", "minimum": 0, "maximum": 2**64 - 1, "default": 100},
                },
                "mode": {
                    "description": "drain removes the samples it returns, snapshot removes nothing.",
                    "schema": {"enum": ["drain", "snapshot"], "default": "drain"},
                },
            },
        ),
    },
    "/events": {
        "POST": Operation(
            "postEvents",
            "Deliver one event, and answer when its destination has it.",
            {
                200: Answered("The destination has the event, or an HTTP receiver rejected it with 4xx.", Sent),
                400: Answered("The body is not an event.", Refusal),
                422: Answered("A value is invalid.", Refusal),
                500: Answered("The encoder cannot encode the event, or no process could deliver it.", Envelope),
                502: Answered("The destination failed.", Envelope),
            },
            request={JSON: _EVENT_BODY},
        ),
    },
    "/metrics": {
        "GET": Operation(
            "daemonMetrics",
            "Return the daemon's own metrics.",
            {200: Answered(_EXPOSITION, _ANY_TEXT, TEXT)},
            parameters={"own": {"description": "1 adds the families about workers.", "schema": _ANY_TEXT}},
        ),
    },
    "/relay/checks": {
        "GET": Operation(
            "listChecks",
            "List the checks that the relay knows.",
            {
                200: Answered("The checks.", _ANY_OBJECT),
                400: _BAD_QUERY,
                404: Answered("The relay has no such check.", Envelope),
                503: _RELAY_DOWN,
            },
            parameters={name: {"schema": _ANY_TEXT} for name in ("client", "status", "stale", "limit", "offset")},
        ),
    },
    "/relay/checks/{client}/{check}": {
        "GET": Operation(
            "showCheck",
            "Show one check with its history.",
            {
                200: Answered("The check.", _ANY_OBJECT),
                404: Answered("There is no such check.", Envelope),
                503: _RELAY_DOWN,
            },
        ),
    },
    "/relay/metrics": {
        "GET": Operation(
            "relayMetrics",
            "Return the relay's metrics.",
            {200: Answered(_EXPOSITION, _ANY_TEXT, TEXT), 503: _RELAY_DOWN},
        ),
    },
    "/relay/health": {
        "GET": Operation(
            "relayHealth",
            "Show the health of the relay.",
            {
                200: Answered("The relay is healthy.", _ANY_OBJECT),
                503: Answered("The relay is degraded, or does not answer.", _ANY_OBJECT),
            },
        ),
    },
}
