"""Every answer that is not a success: the only place that picks its status and body.

Resources raise; `answer_of` translates. Source: docs/http.md.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import falcon
import msgspec

from common.errors import BodyFault, CompileError, SondadError
from common.states import State
from supervisor.engine.control_plane import (
    CallTimeoutError,
    CapacityError,
    EventError,
    LaunchError,
    NameConflict,
    NotRunningError,
    Scenario,
)
from supervisor.http.answers import Launched, UnresolvedRef, launched

logger = logging.getLogger(__name__)

_HINT: Final = "DELETE the conflicting scenarios before posting a new cascade with the same scenario_name"


class Unauthorized(SondadError):  # noqa: N818 - named like its status
    """No valid key came with the request."""


class Forbidden(SondadError):  # noqa: N818 - named like its status
    """A web page that may not drive the daemon; the text says what would allow it."""


class UnknownScenario(SondadError):  # noqa: N818 - named like its meaning
    """There is no scenario of that id; the text is the id as decoded from the path."""


class BadQuery(SondadError):  # noqa: N818 - named like its meaning
    """A query that cannot be answered: a parameter that cannot be used, or too much at once; the text says which."""


class Unreadable(SondadError):  # noqa: N818 - named like its meaning
    """The catalog cannot be read; the text says why."""


class UnresolvedReferences(SondadError):  # noqa: N818 - named like its meaning
    """A body that was to be launched only with every gate connected.

    Attributes:
        references: the gates that would have to wait.
    """

    def __init__(self, references: list[UnresolvedRef]) -> None:
        super().__init__(f"{len(references)} gates watch entries that do not run")
        self.references = references


class BodyTooLarge(SondadError):  # noqa: N818 - named like its status
    """The request body exceeds the limit of control routes."""


class MethodNotAllowed(SondadError):  # noqa: N818 - named like its status
    """The path exists, but not with this method.

    Attributes:
        allowed: the methods it exists with.
    """

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"allowed: {', '.join(allowed)}")
        self.allowed = allowed


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What the client gets; a body of None is an empty one."""

    status: int
    body: msgspec.Struct | None = None
    headers: Mapping[str, str] = {}


class Envelope(msgspec.Struct, frozen=True):
    """The common error body."""

    error: str
    detail: str


class Refusal(msgspec.Struct, frozen=True):
    """The body of a 400 or 422 about a posted text: `detail` is the first of `faults`, complete with its phase."""

    error: str
    detail: str
    faults: list[BodyFault]


class Unresolved(msgspec.Struct, frozen=True):
    """The body of a 422 that was asked for."""

    error: str
    unresolved_refs: list[UnresolvedRef]


class Capacity(msgspec.Struct, frozen=True):
    """The body of a 429."""

    error: str
    detail: str
    by_state: dict[str, int]


class Conflict(msgspec.Struct, frozen=True):
    """The body of a 409."""

    error: str
    conflicting_scenarios: list[Launched]
    hint: str = _HINT


def answer_of(error: Exception) -> ErrorAnswer:
    """Return the answer for an error that a request ended with."""
    match error:
        case CompileError(status=422):
            return ErrorAnswer(422, _refusal("unprocessable_entity", error))
        case CompileError():
            return ErrorAnswer(400, _refusal("bad_request", error))
        case UnresolvedReferences():
            return ErrorAnswer(422, Unresolved("unresolved_refs", error.references))
        case BadQuery():
            return ErrorAnswer(400, Envelope("bad_request", str(error)))
        case Unreadable():
            return ErrorAnswer(500, Envelope("internal_server_error", _encodable(str(error))))
        case Unauthorized():
            return ErrorAnswer(401, Envelope("unauthorized", str(error)))
        case Forbidden():
            return ErrorAnswer(403, Envelope("forbidden", _encodable(str(error))))
        case UnknownScenario():
            return ErrorAnswer(404, Envelope("not_found", f"scenario not found: {error}"))
        case MethodNotAllowed():
            return ErrorAnswer(405, headers={"Allow": ", ".join(error.allowed)})
        case CallTimeoutError():
            return ErrorAnswer(408)
        case NameConflict():
            return ErrorAnswer(409, Conflict(_encodable(str(error)), [launched(row) for row in error.conflicting]))
        case NotRunningError():
            return ErrorAnswer(409, Envelope("conflict", str(error)))
        case BodyTooLarge():
            return ErrorAnswer(413)
        case CapacityError():
            return ErrorAnswer(429, Capacity("capacity_exceeded", str(error), _count_by_state(error.scenarios)))
        case LaunchError():
            return ErrorAnswer(500, Envelope("internal_server_error", str(error)))
        case EventError(cause="sink"):
            return ErrorAnswer(502, Envelope("bad_gateway", f"sink error: {_encodable(str(error))}"))
        case EventError():
            return ErrorAnswer(500, Envelope("internal_server_error", f"{error.cause} error: {_encodable(str(error))}"))
        case falcon.HTTPError():
            return ErrorAnswer(error.status_code)
        case _:
            return ErrorAnswer(500, Envelope("internal_server_error", "unexpected error, see the server's log"))


def handle_error(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
    """Answer a request that ended with `error`; what nobody raised on purpose is logged with its traceback."""
    del params
    if not isinstance(error, SondadError | falcon.HTTPError):
        logger.error("unexpected error in %s %s", req.method, req.uri_template, exc_info=error)
    answer = answer_of(error)
    resp.status = answer.status
    resp.set_headers(dict(answer.headers))
    if answer.body is not None:
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(answer.body)


def _count_by_state(scenarios: Sequence[Scenario]) -> dict[str, int]:
    counts = dict.fromkeys(State, 0)
    for scenario in scenarios:
        counts[State(scenario.counters().state)] += 1
    return {state.wire: count for state, count in counts.items()}


def _refusal(name: str, error: CompileError) -> Refusal:
    faults = error.faults or (BodyFault("", None, None, error.problem, error.hint),)
    shown = [
        BodyFault(
            _encodable(fault.path),
            fault.line,
            fault.column,
            _encodable(fault.message),
            None if fault.hint is None else _encodable(fault.hint),
        )
        for fault in faults
    ]
    return Refusal(name, _encodable(error.detail), shown)


def _encodable(text: str) -> str:
    # A body may hold lone surrogates as escapes, and error texts quote it; JSON answers are UTF-8.
    return text.encode(errors="backslashreplace").decode()
