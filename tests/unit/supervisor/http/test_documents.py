"""GET /schema and GET /openapi.json: made once, cached by clients, and true."""

import json
import re
from typing import Any

import pytest
from jsonschema_rs import validator_for

from supervisor.compiler.language.schema import scenario_schema
from supervisor.http.operations import OPERATIONS
from supervisor.http.paths import route_of
from supervisor.relay_link.client import RelayClient
from supervisor.settings import Settings
from tests.support.http_app import AppClient
from tests.support.memory_plane import MemoryControlPlane

DOCUMENTS = ("/schema", "/openapi.json")


def body(entries: int = 1, **fields: Any) -> bytes:
    """A scenario file of some entries."""
    entry = {"signal_type": "metrics", "name": "up", "rate": 1, "generator": {"type": "constant", "value": 1}}
    return json.dumps({"version": 2, "scenarios": [entry] * entries, **fields}).encode()


def described(client: AppClient) -> dict[str, Any]:
    document = client.get("/openapi.json").json
    assert isinstance(document, dict)
    return document


def references(part: Any) -> list[str]:
    """Every reference within a part of a document."""
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [reference for value in part.values() for reference in references(value)]
    return [reference for item in part for reference in references(item)] if isinstance(part, list) else []


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_is_json_that_may_be_kept_for_an_hour(shared_locked: AppClient, path: str) -> None:
    """No key is asked for; the tag is quoted and the same at every request."""
    answers = [shared_locked.get(path), shared_locked.get(path)]
    assert answers[0].status_code == 200
    assert answers[0].headers["content-type"] == "application/json"
    assert answers[0].headers["cache-control"] == "max-age=3600"
    assert re.fullmatch(r'"[0-9a-f]{32}"', answers[0].headers["etag"])
    assert answers[0].headers == answers[1].headers
    assert json.loads(answers[0].content)


@pytest.mark.parametrize("path", DOCUMENTS)
def test_who_has_the_document_is_told_so(shared_client: AppClient, path: str) -> None:
    """By its tag, weak or in a list, or by a star; any other tag gets the document."""
    tag = shared_client.get(path).headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = shared_client.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in answer.headers
    for other in ('"x"', "", tag[1:-1]):
        assert shared_client.get(path, headers={"If-None-Match": other}).status_code == 200


def test_the_documents_have_tags_of_their_own(shared_client: AppClient) -> None:
    """Their contents differ."""
    assert len({shared_client.get(path).headers["etag"] for path in DOCUMENTS}) == 2


def test_the_schema_is_that_of_scenario_files(shared_client: AppClient) -> None:
    """It accepts a scenario file, and refuses one with a field that does not exist."""
    schema = shared_client.get("/schema").json
    assert schema == scenario_schema()
    validator = validator_for(schema)
    assert validator.is_valid(json.loads(body()))
    assert not validator.is_valid(json.loads(body(raet=1)))


def test_every_route_and_method_of_the_server_is_described(settings: Settings) -> None:
    """And none besides; the relay's are there when there is a relay."""
    alone = described(AppClient(MemoryControlPlane(), settings))["paths"]
    both = AppClient(MemoryControlPlane(), settings, relay=RelayClient("/nonexistent/admin.sock"))
    assert set(described(both)["paths"]) == set(OPERATIONS)
    assert set(OPERATIONS) - set(alone) == {route for route in OPERATIONS if route.startswith("/relay/")}
    for route, methods in described(both)["paths"].items():
        target = re.sub(r"\{\w+\}", "x", route)
        allowed = both.request("BREW", target).headers["allow"]
        assert {method.upper() for method in methods} | {"HEAD"} == set(allowed.split(", ")) | {"HEAD"}
        assert both.request("BREW", target + "/").status_code == 404


def test_the_description_holds_together(shared_locked: AppClient) -> None:
    """Every reference leads somewhere, names are unique, parameters of paths are declared."""
    document = described(shared_locked)
    assert document["openapi"].startswith("3.1.")
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    for schema in schemas.values():
        validator_for({"$ref": "#/components/schemas/x", "components": {"schemas": {**schemas, "x": schema}}})
    names = [method["operationId"] for methods in document["paths"].values() for method in methods.values()]
    assert len(names) == len(set(names))
    for route, methods in document["paths"].items():
        for method in methods.values():
            declared = {one["name"] for one in method.get("parameters", []) if one["in"] == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", route))


def test_the_key_is_described_where_it_is_asked_for(shared_client: AppClient, shared_locked: AppClient) -> None:
    """Protected routes name it and their 401; without a key nothing does."""
    for route, methods in described(shared_locked)["paths"].items():
        for method in methods.values():
            answer = shared_locked.get(re.sub(r"\{\w+\}", "x", route))
            assert ("security" in method) == ("401" in method["responses"]) == (answer.status_code == 401)
    assert "securitySchemes" not in described(shared_client)["components"]
    assert not [
        method
        for methods in described(shared_client)["paths"].values()
        for method in methods.values()
        if "security" in method
    ]


def test_answers_fit_their_description(client: AppClient) -> None:
    """What is encoded is what is described: the same Structs, with every field in place."""
    document = described(client)
    (scenario_id,) = client.launch()
    client.request("POST", "/scenarios", body(scenario_name="one"))
    cases = [
        ("GET", "/health", "/health", b""),
        ("GET", "/ready", "/ready", b""),
        ("GET", "/scenarios", "/scenarios", b""),
        ("POST", "/scenarios", "/scenarios", b"{"),
        ("POST", "/scenarios", "/scenarios", body(entries=2)),
        ("POST", "/scenarios", "/scenarios", body(scenario_name="one")),
        ("GET", f"/scenarios/{scenario_id}", "/scenarios/{id}", b""),
        ("GET", "/scenarios/nope", "/scenarios/{id}", b""),
        ("GET", f"/scenarios/{scenario_id}/stats", "/scenarios/{id}/stats", b""),
        ("GET", f"/scenarios/{scenario_id}/metrics?limit=x", "/scenarios/{id}/metrics", b""),
        ("PATCH", f"/scenarios/{scenario_id}", "/scenarios/{id}", b'{"rate": 3}'),
        ("PATCH", f"/scenarios/{scenario_id}", "/scenarios/{id}", b'{"rate": 3}'),
        ("GET", f"/scenarios/{scenario_id}", "/scenarios/{id}", b""),
        ("PATCH", f"/scenarios/{scenario_id}", "/scenarios/{id}", b"{"),
        ("PATCH", f"/scenarios/{scenario_id}", "/scenarios/{id}", b'{"sink": {"type": "stdout"}}'),
        ("DELETE", f"/scenarios/{scenario_id}", "/scenarios/{id}", b""),
    ]
    seen = set()
    for method, target, route, payload in cases:
        answer = client.request(method, target, payload)
        response = document["paths"][route][method.lower()]["responses"][str(answer.status_code)]
        schema = response["content"]["application/json"]["schema"]
        validator_for({**schema, "components": document["components"]}).validate(answer.json)
        seen.add(answer.status_code)
    assert seen == {200, 201, 400, 404, 409, 422}


def test_templates_are_described_as_clients_see_them() -> None:
    """The table has routes, not what the router makes of them."""
    assert all(route_of(route) == route for route in OPERATIONS)
