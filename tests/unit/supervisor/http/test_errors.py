"""Errors and the answers they become."""

import logging

import falcon
import falcon.testing
import msgspec
import pytest

from common.errors import CompileError
from supervisor.engine.control_plane import CallTimeoutError, LaunchError
from supervisor.http.errors import (
    BadQuery,
    BodyTooLarge,
    MethodNotAllowed,
    Unauthorized,
    UnknownScenario,
    answer_of,
    handle_error,
)


@pytest.mark.parametrize(
    ("error", "status", "code", "detail"),
    [
        (CompileError("no such field"), 400, "bad_request", "no such field"),
        (CompileError("rate must be positive", 422), 422, "unprocessable_entity", "rate must be positive"),
        (BadQuery("limit: no"), 400, "bad_request", "limit: no"),
        (Unauthorized("invalid API key"), 401, "unauthorized", "invalid API key"),
        (UnknownScenario("x/y"), 404, "not_found", "scenario not found: x/y"),
        (LaunchError("no worker"), 500, "internal_server_error", "no worker"),
        (ValueError("a secret"), 500, "internal_server_error", "unexpected error, see the server's log"),
    ],
)
def test_an_error_becomes_the_envelope(error: Exception, status: int, code: str, detail: str) -> None:
    """Status, code and detail are pinned; the text of an unexpected error stays inside."""
    answer = answer_of(error)
    body = msgspec.to_builtins(answer.body)
    body.pop("faults", None)
    assert (answer.status, body) == (status, {"error": code, "detail": detail})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CallTimeoutError("30 s"), 408),
        (BodyTooLarge(), 413),
        (falcon.HTTPRouteNotFound(), 404),
        (falcon.HTTPBadRequest(), 400),
    ],
)
def test_faults_below_the_resources_have_an_empty_body(error: Exception, status: int) -> None:
    """Unknown paths, limits and what Falcon itself refuses are answered by the status alone."""
    answer = answer_of(error)
    assert (answer.status, answer.body, dict(answer.headers)) == (status, None, {})


def test_a_wrong_method_names_the_right_ones() -> None:
    """405 carries Allow."""
    answer = answer_of(MethodNotAllowed(("GET", "HEAD")))
    assert (answer.status, answer.body, dict(answer.headers)) == (405, None, {"Allow": "GET, HEAD"})


def test_a_detail_that_utf8_cannot_hold_is_escaped() -> None:
    """A lone surrogate out of a JSON body does not turn a 400 into a 500."""
    error = CompileError("bad \ud800", hint="did you mean \ud801?")
    assert msgspec.json.encode(answer_of(error).body) == (
        rb'{"error":"bad_request","detail":"bad \\ud800","faults":[{"path":"","line":null,"column":null,'
        rb'"message":"bad \\ud800","hint":"did you mean \\ud801?"}]}'
    )


@pytest.mark.parametrize(
    ("error", "logged"), [(ZeroDivisionError("boom"), True), (CompileError("x"), False), (falcon.HTTPNotFound(), False)]
)
def test_only_the_unexpected_is_logged_with_its_traceback(
    error: Exception, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody raised on purpose leaves its traceback in the log, once."""
    req = falcon.testing.create_req(path="/scenarios")
    with caplog.at_level(logging.DEBUG):
        handle_error(req, falcon.Response(), error, {})
    assert [record.exc_info is not None for record in caplog.records] == [True] * logged
