"""`read_report` against an independent model of the decision table."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.relay.checks.report import Report, read_report
from supervisor.relay.net.answer import RefusedRequestError
from supervisor.relay.net.request import RelayRequest
from tests.support.update_model import bodies, queries, verdict

JSON_HEADERS = {"content-type": ["application/json"]}


def post(body: bytes, query: str = "", headers: dict[str, list[str]] | None = None) -> Report | RefusedRequestError:
    request = RelayRequest("POST", "/checks/x", JSON_HEADERS if headers is None else headers)
    request.body = body
    try:
        return read_report(request, query)
    except RefusedRequestError as refused:
        return refused


@given(bodies, queries)
@example({"status": "ok", "metrics": []}, {})
@example({"status": {}, "metrics": {}}, {})
def test_every_body_is_decided_as_the_model_decides(body: Any, query: dict[str, str]) -> None:
    """Accepted or refused with exactly the model's code and message, for any JSON and any query."""
    result = post(json.dumps(body).encode(), urlencode(query))
    expected = verdict(body, query)
    if isinstance(expected, tuple):
        assert isinstance(result, RefusedRequestError)
        assert (result.status, result.code, result.message) == (409, *expected)
    else:
        assert isinstance(result, Report)
        assert result.status == expected
        merged = {**body, **query}
        given_metrics = merged["metrics"] if isinstance(merged["metrics"], list) else [merged["metrics"]]
        stored = json.loads(result.metrics)
        rounded = [{**one, "value": float(one["value"])} if one["type"] == "Float" else one for one in given_metrics]
        assert stored == rounded
        for one in stored:
            kinds = {"String": str, "Integer": int, "Float": float, "Boolean": bool}
            assert type(one["value"]) is kinds[one["type"]]


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_are_an_internal_error(body: bytes) -> None:
    """Any bytes are a report or a refusal with 400 or 409."""
    result = post(body)
    assert isinstance(result, Report) or result.status in (400, 409)


NOT_JSON = [
    b"{", b"[1,]", b"{} {}", b"01", b"+1", b".5", b"1.", b"NaN", b"Infinity", b"-Infinity", b"  ",
    b"\xef\xbb\xbf\xef\xbb\xbf{}", b"\xef\xbb\xbf",
    b'"\x01"', b'{"a":"\xff"}', b'{"a":"\\ud800"}', b"[" * 100_000, b'{"a":1e400,}', b'{"a":1e400,"b":NaN}',
]  # fmt: skip


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[:20]))
def test_what_is_not_json(body: bytes) -> None:
    """400 with its text, also when a number that is too large comes first."""
    result = post(body)
    assert isinstance(result, RefusedRequestError)
    assert (result.status, result.code, result.message) == (400, "InvalidArgument", "body is not valid JSON")


def test_a_byte_order_mark_before_the_body_is_passed_over() -> None:
    """Editors of some systems put it there."""
    assert isinstance(post(b'\xef\xbb\xbf{"status":"ok","metrics":[]}'), Report)


@pytest.mark.parametrize(("levels", "taken"), [(1, True), (64, True), (125, True), (126, False), (950, False)])
@pytest.mark.parametrize("listed", [True, False])
def test_nesting_has_one_bound(levels: int, taken: bool, listed: bool) -> None:
    """128 levels as the update is forwarded, whether its metric came in a list or alone: no parent refuses it later."""
    metric = b'{"name":"urn:a","type":"Integer","value":1,"data":%s}' % (b"[" * levels + b"]" * levels)
    result = post(b'{"status":"ok","metrics":%s}' % (b"[%s]" % metric if listed else metric))
    assert isinstance(result, Report) is taken
    if isinstance(result, RefusedRequestError):
        assert (result.status, result.message) == (400, "body is not valid JSON")
    else:
        assert isinstance(post(b'{"status":"ok","metrics":%s}' % result.metrics.encode()), Report)


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"9" * 5000])
def test_numbers_beyond_every_type_are_409(number: bytes) -> None:
    """Out of a double's range is JSON, but no value."""
    result = post(b'{"status":"ok","metrics":{"name":"urn:a","type":"Float","value":%s}}' % number)
    assert isinstance(result, RefusedRequestError)
    assert (result.status, result.code) == (409, "InvalidArgument")


def test_underflow_is_zero_and_duplicate_members_take_the_last() -> None:
    """Two rules of the number model and of objects."""
    result = post(b'{"status":"warn","status":"ok","metrics":{"name":"a:b","type":"Float","value":1e-400}}')
    assert isinstance(result, Report)
    assert (result.status, result.metrics) == ("ok", '[{"name":"a:b","type":"Float","value":0.0}]')


def test_a_repeated_query_name_is_never_valid() -> None:
    """It holds a list; a `+` is a space; commas split nothing."""
    result = post(b'{"metrics":[]}', "status=ok&status=ok")
    assert isinstance(result, RefusedRequestError)
    assert result.message == "status must be one of: ok,warn,error"
    report = post(b'{"metrics":[]}', "status=ok&message=a+b,c%20%C3%A9")
    assert isinstance(report, Report)
    assert report.message == "a b,c é"


def test_equal_reports_have_equal_fingerprints() -> None:
    """Member order and a single object instead of a list make no difference; content does."""
    first = post(b'{"status":"ok","metrics":{"name":"a:b","type":"Integer","value":7.0}}')
    second = post(b'{"metrics":[{"value":7,"type":"Integer","name":"a:b"}],"message":null,"status":"ok"}')
    third = post(b'{"status":"ok","metrics":{"name":"a:b","type":"Integer","value":8}}')
    assert isinstance(first, Report)
    assert isinstance(second, Report)
    assert isinstance(third, Report)
    assert first.fingerprint() == second.fingerprint() != third.fingerprint()
