"""What each route answers to each method, in words and in the Structs that are encoded.

Source: docs/http.md; docs/states.md; docs/relay.md, "Beside the control plane".
"""

from collections.abc import Mapping
from typing import Any, Final

from common.states import State
from supervisor.http.answers import Changed, Deleted, Detail, Launched, LaunchedList, ScenarioList, Sent, Stats
from supervisor.http.daemon import DaemonFigures
from supervisor.http.dry_run import DEFAULT_PREVIEW_SECS, MOST_PREVIEW_SECS, DryRun
from supervisor.http.errors import Capacity, Conflict, Envelope, Refusal, Unresolved
from supervisor.http.library import ExampleList, ListedCatalog, PackList
from supervisor.http.listing import ScenarioRows
from supervisor.http.operation import JSON, TEXT, YAML, Answered, Operation
from supervisor.intake.autostart import Readiness

_ANY_TEXT: Final = {"type": "string"}
_ANY_OBJECT: Final = {"type": "object"}
_HEALTHY: Final = {
    "type": "object",
    "properties": {"status": {"const": "ok"}, "overloaded": {"const": True}},
    "required": ["status"],
}
_SCENARIO_BODY: Final = {
    "anyOf": [{"$ref": "#/components/schemas/scenario.canonical"}, {"$ref": "#/components/schemas/scenario.flat"}]
}

_CHANGE_BODY: Final = {
    "type": "object",
    "description": "A merge patch (RFC 7396) of the fields of `config` that can be changed.",
    "properties": {
        "rate": {"type": "number", "exclusiveMinimum": 0},
        "duration": {"type": ["string", "null"]},
        "labels": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "null"]}},
        "generator": {"type": "object"},
        "jitter": {"type": ["number", "null"], "minimum": 0},
        "jitter_seed": {"type": ["integer", "null"], "minimum": 0},
        "log_generator": {"type": "object"},
        "distribution": {"type": "object"},
        "observations_per_tick": {"type": ["integer", "null"], "minimum": 1},
        "mean_shift_per_sec": {"type": ["number", "null"]},
    },
    "additionalProperties": False,
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


_NOT_FOUND: Final = Answered("There is no such scenario.", Envelope)
_BAD_QUERY: Final = Answered("A query parameter cannot be used; the detail names it.", Envelope)
_EXPOSITION: Final = "Prometheus text exposition format."
_UNMODIFIED: Final = Answered("The client has it.", headers=("ETag", "Cache-Control"))
_NO_CATALOG: Final = Answered("The catalog cannot be read.", Envelope)
_RELAY_DOWN: Final = Answered("The relay does not answer.", Envelope)


def _document(what: str) -> dict[int, Answered]:
    return {200: Answered(what, _ANY_OBJECT, headers=("ETag", "Cache-Control")), 304: _UNMODIFIED}


def _flag(what: str) -> dict[str, Any]:
    return {"description": what, "schema": {"enum": ["true", "1", "false", "0"], "default": "false"}}


_SELECTION: Final[Mapping[str, Mapping[str, Any]]] = {
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
}
_TARGET_GROUPS: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"targets": {"type": "array", "items": _ANY_TEXT}, "labels": _TEXTS},
        "required": ["targets", "labels"],
    },
}


OPERATIONS: Final[Mapping[str, Mapping[str, Operation]]] = {
    "/health": {
        "GET": Operation("health", "Show that the daemon answers.", {200: Answered("The daemon answers.", _HEALTHY)}),
    },
    "/ready": {
        "GET": Operation(
            "ready",
            "Show whether what comes with the start runs: scenarios of the state directory and of autostart.",
            {
                200: Answered("Nothing is left to start.", Readiness),
                503: Answered(
                    "Scenarios are still being started, autostart failed, or the main loop does not turn.", Readiness
                ),
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
            {200: Answered("All scenarios, finished ones included.", (ScenarioList, ScenarioRows)), 400: _BAD_QUERY},
            parameters={"stats": _flag("`true` adds what each scenario does: all that a table of them shows.")},
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
                "dry_run": _flag("`true` only tells what would be started; a faulty body is refused all the same."),
                "preview_secs": {
                    "description": "With `dry_run`: how many seconds of values to compute; 0 computes none.",
                    "schema": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": MOST_PREVIEW_SECS,
                        "default": DEFAULT_PREVIEW_SECS,
                    },
                },
                "segment": {
                    "description": "I/N starts only the I-th of N segments of the body, counted from 1.",
                    "schema": {"type": "string", "pattern": "^[0-9]+/[0-9]+$"},
                },
                "digest": {
                    "description": "`true` makes digests of all entries, as `digest: true` in each of them.",
                    "schema": {"enum": ["true", "1", "false", "0"], "default": "false"},
                },
                "start_at": {
                    "description": (
                        "When the entries start: RFC 3339, or seconds since the epoch; at most 1 s past, 24 h ahead."
                    ),
                    "schema": {"type": "string"},
                },
                "resume": {
                    "description": "`true`: it was started at `start_at` on another host, and goes on here.",
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
            parameters=_SELECTION,
        ),
    },
    "/scenarios/{id}": {
        "GET": Operation(
            "showScenario",
            "Show configuration, counters and elapsed time.",
            {200: Answered("The scenario.", Detail), 404: _NOT_FOUND},
        ),
        "PATCH": Operation(
            "changeScenario",
            "Change a running scenario at its next tick, without a jump in its values.",
            {
                200: Answered("The scenario is changed from the tick of the answer on.", Changed),
                400: Answered("The text cannot be read, and `faults` has every mistake.", Refusal),
                404: _NOT_FOUND,
                409: Answered("The scenario has ended.", Envelope),
                422: Answered("A value is invalid, or a field that cannot be changed.", Refusal),
                500: Answered("The change cannot be kept, or the daemon is shutting down.", Envelope),
            },
            request={JSON: _CHANGE_BODY, YAML: _ANY_TEXT},
        ),
        "DELETE": Operation(
            "deleteScenario",
            "Stop a scenario, wait until its process has exited, and remove it.",
            {
                200: Answered("The scenario is stopped; the answer has its final count.", Deleted),
                400: _BAD_QUERY,
                404: _NOT_FOUND,
                500: Answered("The daemon is shutting down.", Envelope),
            },
            parameters={
                "stats": {
                    "description": "`true` also returns all final counters.",
                    "schema": {"enum": ["true", "false"], "default": "false"},
                },
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
                    "description": "drain removes the samples it returns, snapshot and recent remove nothing.",
                    "schema": {"enum": ["drain", "snapshot", "recent"], "default": "drain"},
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
    "/daemon": {
        "GET": Operation(
            "daemonFigures",
            "Show what the whole daemon uses and does.",
            {200: Answered("The figures.", DaemonFigures)},
        ),
    },
    "/sd/prometheus": {
        "GET": Operation(
            "prometheusTargets",
            "List a target for each scenario that emits numbers, for Prometheus' HTTP service discovery.",
            {200: Answered("The target groups.", _TARGET_GROUPS), 400: _BAD_QUERY},
            parameters={
                **_SELECTION,
                "mode": {
                    "description": "How the targets are scraped; see the parameter of the scrape.",
                    "schema": {"enum": ["snapshot", "drain"], "default": "snapshot"},
                },
            },
        ),
    },
    "/examples": {
        "GET": Operation(
            "listExamples",
            "List the scenario files that come with the program.",
            {200: Answered("All of them.", ExampleList, headers=("ETag", "Cache-Control")), 304: _UNMODIFIED},
        ),
    },
    "/packs": {
        "GET": Operation(
            "listPacks",
            "List the packs of the catalog and the built-in ones.",
            {200: Answered("All of them.", PackList), 500: _NO_CATALOG},
        ),
    },
    "/catalog": {
        "GET": Operation(
            "listCatalog",
            "List the scenarios of the catalog; texts that hold a secret are withheld.",
            {200: Answered("All of them.", ListedCatalog), 500: _NO_CATALOG},
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
    "/relay/deadletters": {
        "GET": Operation(
            "listDeadLetters",
            "List updates that the upstream rejected for good.",
            {200: Answered("A page of them.", _ANY_OBJECT), 400: _BAD_QUERY, 503: _RELAY_DOWN},
            parameters={name: {"schema": _ANY_TEXT} for name in ("limit", "offset")},
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
