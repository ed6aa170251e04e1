"""Any JSON, and any bytes, posted to a live relay: the answers of the decision table, and nothing else."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.live_relay import Answer, LiveRelay, clients_config, live, own, request
from tests.support.update_model import answer, bodies, queries, sound_bodies

ROOTS = {"any": ["*"], "123": ["urn:a", "amon:a"]}
CODES = {"InvalidArgument", "InvalidHeader", "MissingParameter", "ResourceNotFound"}


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRelay]:
    checks = ", ".join(f'"{check}": {{urn: {json.dumps(roots)}}}' for check, roots in ROOTS.items())
    with live(tmp_path_factory.mktemp("relay"), clients_config(own(checks.replace('["*"]', '"*"')))) as started:
        yield started
        assert started.metric('sondad_relay_requests_total{client="agent",code="500"}') is None


def check_envelope(reply: Answer) -> None:
    """Assert what holds for every answer, whatever was asked."""
    assert reply.headers["Connection"] == "close"
    assert int(reply.headers["Content-Length"]) == len(reply.body)
    if reply.status == 202:
        assert reply.body == b""
        return
    assert reply.body.isascii()
    assert reply.headers["Content-MD5"] == base64.b64encode(hashlib.md5(reply.body).digest()).decode()
    assert list(reply.json()) == ["code", "message"]
    assert reply.json()["code"] in CODES
    assert reply.json()["message"]


@settings(max_examples=2000)
@given(bodies | sound_bodies, st.just({}) | queries, st.sampled_from(["any", "123", "456"]))
def test_every_update_is_answered_as_the_model_says(
    relay: LiveRelay, body: Any, query: dict[str, str], check: str
) -> None:
    """Status, code and message are the model's; an accepted update is the latest state, a refused one is nothing."""
    target = f"/checks/{check}?{urlencode(query)}" if query else f"/checks/{check}"
    before = relay.check("agent", check)
    reply = request(relay.sock("agent"), "POST", target, json.dumps(body).encode())
    check_envelope(reply)
    status, code, message = answer(body, query, check, ROOTS)
    assert (reply.status, reply.json() if reply.body else None) == (
        status,
        {"code": code, "message": message} if code else None,
    )
    after = relay.check("agent", check)
    if status != 202:
        assert after == before
        return
    merged = {"message": "", **body, **query}
    assert (after["status"], after["message"]) == (merged["status"], merged["message"] or "")
    assert after["updates"] == before["updates"] + 1
    posted = merged["metrics"] if isinstance(merged["metrics"], list) else [merged["metrics"]]
    assert [metric["name"] for metric in after["metrics"]] == [metric["name"] for metric in posted]


@settings(max_examples=1000)
@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_are_an_internal_error(relay: LiveRelay, body: bytes) -> None:
    """Any bytes are accepted or refused with 400 or 409, in the envelope of every answer."""
    reply = relay.post("agent", "any", body)
    check_envelope(reply)
    assert reply.status in (202, 400, 409)
