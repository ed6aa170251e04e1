"""Gates across bodies as clients see them: `pending_ref`, attempts, and `?validate=strict`."""

import logging
from typing import Any

import pytest

from common.counters import Counters
from common.states import State
from tests.support.http_app import AppClient


def body(name: str | None, *entries: str) -> str:
    """YAML of a body with these entries."""
    named = f"scenario_name: {name}\n" if name else ""
    listed = "".join(f"  - {{signal_type: metrics, rate: 1, {entry}}}\n" for entry in entries)
    return f"version: 2\n{named}scenarios:\n{listed}"


def source(entry_id: str) -> str:
    return f"id: {entry_id}, name: {entry_id}, generator: {{type: constant, value: 1}}"


def gated(entry_id: str, ref: str, of_body: str, more: str = "") -> str:
    clause = f"ref: {ref}, op: '>', value: 0, scenario_name: {of_body}{more}"
    return f"{source(entry_id)}, duration: 1h, while: {{{clause}}}"


WAITING = body("edge", gated("down", "up", "core", ", if_unresolved: closed"))


def detail(client: AppClient, scenario_id: str) -> Any:
    return client.get(f"/scenarios/{scenario_id}").json


def test_an_unresolved_gate_shows_what_it_waits_for(client: AppClient) -> None:
    """As long as the state is unresolved, and not a moment longer."""
    client.plane.wall_ns = 1_700_000_000_123_456_789
    answer = client.post_yaml(WAITING)
    scenario_id = answer.json["id"]
    assert answer.json["state"] == "unresolved"
    assert detail(client, scenario_id)["pending_ref"] == {
        "scenario_name": "core",
        "entry_id": "up",
        "if_unresolved": "closed",
        "registered_at": "2023-11-14T22:13:20.123Z",
        "attempts": 0,
    }
    client.plane.show(scenario_id, Counters(state=State.PAUSED, state_since_ns=1))
    assert "pending_ref" not in detail(client, scenario_id)


def test_attempts_are_counted_and_never_reset(client: AppClient) -> None:
    """Once for every body that brought the entry; when it was first waited for stays."""
    client.plane.wall_ns = 1_000_000_000
    (down,) = client.launch(WAITING)
    for attempts in (1, 2):
        client.plane.wall_ns += 60_000_000_000
        (up,) = client.launch(body("core", source("up")))
        client.request("DELETE", f"/scenarios/{up}")
        shown = detail(client, down)["pending_ref"]
        assert (shown["attempts"], shown["registered_at"]) == (attempts, "1970-01-01T00:00:01.000Z")
        assert client.get(f"/scenarios/{down}/stats").json["cumulative_resolution_attempts"] == attempts


def test_what_is_there_at_once_is_no_attempt(client: AppClient) -> None:
    """An upstream that runs when the body is posted: pending, and nothing to show."""
    client.launch(body("core", source("up")))
    answer = client.post_yaml(WAITING)
    assert answer.json["state"] == "pending"
    assert "pending_ref" not in detail(client, answer.json["id"])
    assert client.get(f"/scenarios/{answer.json['id']}/stats").json["cumulative_resolution_attempts"] == 0


def test_strict_refuses_every_gate_that_would_have_to_wait(client: AppClient, caplog: pytest.LogCaptureFixture) -> None:
    """422 with all of them in entry order, nothing launched; gates within the body and connected ones are fine."""
    client.launch(body("core", source("up")))
    entries = [
        gated("a", "up", "core"),
        gated("b", "gone", "core"),
        gated("c", "d", "edge"),
        source("d"),
        gated("e", "x", "nobody"),
    ]
    with caplog.at_level(logging.WARNING):
        answer = client.post_yaml(body("edge", *entries), "/scenarios?a=b&validate=strict")
    assert answer.status_code == 422
    assert answer.text == (
        '{"error":"unresolved_refs","unresolved_refs":['
        '{"scenario_name":"core","entry_id":"gone","referenced_by":"b"},'
        '{"scenario_name":"nobody","entry_id":"x","referenced_by":"e"}]}'
    )
    assert len(client.get("/scenarios").json["scenarios"]) == 1
    (record,) = caplog.records
    assert record.getMessage() == "POST /scenarios?validate=strict: rejecting body with unresolved refs"
    assert vars(record)["fields"]["count"] == 2


def test_a_finished_upstream_is_not_there(client: AppClient) -> None:
    """It is still listed, but has no values to come."""
    (up,) = client.launch(body("core", source("up")))
    client.plane.finish(up)
    assert client.post_yaml(WAITING, "/scenarios?validate=strict").status_code == 422


def test_strict_comes_before_the_name_conflict(client: AppClient) -> None:
    """A body that is refused for both is refused for its gates."""
    client.launch(body("edge", source("d")))
    assert client.post_yaml(WAITING, "/scenarios?validate=strict").status_code == 422
    assert client.post_yaml(WAITING).status_code == 409


@pytest.mark.parametrize(
    "query",
    ["", "?validate=Strict", "?validate=strict1", "?Validate=strict", "?validate=%73trict", "?xvalidate=strict"],
)
def test_anything_else_is_not_strict(client: AppClient, query: str) -> None:
    """The pair is taken literally."""
    assert client.post_yaml(WAITING, f"/scenarios{query}").status_code == 201
