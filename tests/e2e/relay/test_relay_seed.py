"""The relay API document, word for word, over a Unix socket and over pure mode."""

import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.support.live_relay import Answer, clients_config, exchange, live, own, pure_config
from tests.support.ports import free_port

SAMPLE_BODY = (
    b'{\n      "status": "warn",\n      "message": "Basic Example of a LogScan breach",\n      "metrics": [{\n'
    b'        "name": "urn:logscan:error:count",\n\t"type": "Integer",\n\t"value": 5\n      }]\n    }\n'
)
LOCALHOST = b"POST /checks/123 HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\n"


@pytest.fixture(scope="module", params=["unix", "pure"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    root: Path = tmp_path_factory.mktemp("relay")
    if request.param == "unix":
        with live(root, clients_config(own())) as relay:
            yield relay.sock("agent")
    else:
        port = free_port()
        checks = 'clients:\n  default: {checks: {"123": {urn: "urn:logscan"}}}\n'
        with live(root, pure_config(port, pure="default_client: default", rest=checks)):
            yield ("127.0.0.1", port)


def post(address: object, body: bytes, target: bytes = b"/checks/123") -> Answer:
    head = b"POST " + target + b" HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\nContent-Type: application/json\r\n"
    return exchange(address, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)  # type: ignore[arg-type]


def test_the_sample_request_gets_the_sample_response(address: object) -> None:
    """The document's sample is answered header by header as the document shows, with nothing beside it."""
    answer = post(address, SAMPLE_BODY)
    assert answer.start_line == "HTTP/1.1 202 Accepted"
    assert answer.body == b""
    headers = dict(answer.headers)
    assert headers.pop("Access-Control-Allow-Origin") == "*"
    assert headers.pop("Access-Control-Allow-Methods") == "HEAD, GET, POST, PUT, DELETE"
    assert headers.pop("Server") == "Joyent"
    assert headers.pop("Connection") == "close"
    assert parsedate_to_datetime(headers.pop("Date"))
    assert headers.pop("X-Api-Version") == "2011-06-30"
    assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", headers.pop("X-Request-Id"))
    assert re.fullmatch(r"\d+", headers.pop("X-Response-Time"))
    assert headers.pop("Content-Length") == "0"
    assert headers == {}


GOOD_METRIC = b'{"name":"urn:logscan:error:count","type":"Integer","value":1}'
ORIGINAL_TESTS = {
    "missing status": (b'{"metrics":[%s]}' % GOOD_METRIC, 409, "MissingParameter", '"status" is a required parameter'),
    "missing metrics": (b'{"status":"ok"}', 409, "MissingParameter", '"metrics" is a required parameter'),
    "bad status": (
        b'{"status":"fine","metrics":[%s]}' % GOOD_METRIC,
        409,
        "InvalidArgument",
        "status must be one of: ok,warn,error",
    ),
    "metrics not an object": (
        b'{"status":"ok","metrics":"load"}',
        409,
        "InvalidArgument",
        "metrics must contain an object with name, type and value",
    ),
    "bad metric object": (
        b'{"status":"ok","metrics":{"name":"urn:logscan"}}',
        409,
        "InvalidArgument",
        "metrics must contain an object with name, type and value",
    ),
    "single object": (b'{"status":"ok","metrics":%s}' % GOOD_METRIC, 202, None, None),
    "list": (b'{"status":"ok","metrics":[%s,%s]}' % (GOOD_METRIC, GOOD_METRIC), 202, None, None),
}


@pytest.mark.parametrize("name", ORIGINAL_TESTS)
def test_the_original_tests_behaviours(address: object, name: str) -> None:
    """The seven behaviours that the original's own tests assert."""
    body, status, code, message = ORIGINAL_TESTS[name]
    answer = post(address, body)
    assert answer.status == status
    if code is None:
        assert answer.body == b""
    else:
        assert answer.json() == {"code": code, "message": message}
        assert list(answer.json()) == ["code", "message"]
        assert answer.headers["Content-Type"] == "application/json"
        assert "Content-MD5" in answer.headers


def test_the_original_agent_sends_the_status_in_the_query(address: object) -> None:
    """Status in the query, a single metric object in the body: the two are merged."""
    assert post(address, b'{"metrics":%s}' % GOOD_METRIC, b"/checks/123?status=error").status == 202


def test_an_empty_body_with_a_content_type_is_a_parameter_error(address: object) -> None:
    """The original's tests send a content type without a body and expect the parameter error, not a parse error."""
    assert post(address, b"").json()["code"] == "MissingParameter"
