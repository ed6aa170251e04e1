"""What a resource says about its route, and what follows from it before the application is asked."""

import dataclasses
from typing import Any

import falcon
import pytest

from supervisor.http.app import Api, build_app
from supervisor.http.routes import Route, Routes, Serves
from supervisor.relay_link.client import RelayClient
from supervisor.settings import Settings
from tests.support.http_app import AppClient
from tests.support.memory_plane import MemoryControlPlane


@pytest.fixture(scope="session")
def api(settings: Settings) -> Api:
    return build_app(MemoryControlPlane(), settings, relay=RelayClient("/nowhere"))


@pytest.mark.parametrize(
    ("path", "serves"),
    [
        ("/scenarios", Serves.CONTROL),
        ("/scenarios/an-id", Serves.CONTROL),
        ("/scenarios/a%2Fstats", Serves.CONTROL),
        ("/events", Serves.CONTROL),
        ("/packs", Serves.CONTROL),
        ("/catalog", Serves.CONTROL),
        ("/examples", Serves.READ),
        ("/daemon", Serves.READ),
        ("/sd/prometheus", Serves.READ),
        ("/relay/deadletters", Serves.RELAY),
        ("/relay/checks", Serves.RELAY),
        ("/relay/checks/a/b", Serves.RELAY),
        ("/health", Serves.PROBE),
        ("/ready", Serves.PROBE),
        ("/metrics", Serves.READ),
        ("/scenarios/metrics", Serves.READ),
        ("/scenarios/x/stats", Serves.READ),
        ("/scenarios/x/metrics", Serves.READ),
        ("/schema", Serves.READ),
        ("/", Serves.READ),
        ("", Serves.READ),
        ("*", Serves.READ),
        ("//scenarios", Serves.READ),
        ("/relays/x", Serves.READ),
        ("/health/", Serves.READ),
    ],
)
def test_each_route_is_served_by_its_class(api: Api, path: str, serves: Serves) -> None:
    """What waits for the main loop, for the relay, or for nothing has threads of its own."""
    assert api.admission.serves(path) is serves
    assert api.admission.threads("POST", path) is serves


@pytest.mark.parametrize("path", ["/scenarios", "/scenarios/an-id"])
@pytest.mark.parametrize(
    ("method", "threads"), [("GET", Serves.READ), ("HEAD", Serves.READ), ("DELETE", Serves.CONTROL)]
)
def test_who_only_looks_waits_for_no_control_call(api: Api, method: str, path: str, threads: Serves) -> None:
    """A GET of a list or of a scenario reads shared memory, whatever the other methods of its path wait for."""
    assert api.admission.threads(method, path) is threads


class _Silent:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None: ...


class _Promising(_Silent):
    route = Route(Serves.READ)


@pytest.mark.parametrize(("resource", "what"), [(_Silent(), "no attribute `route`"), (_Promising(), "answer HEAD")])
def test_a_resource_that_forgets_its_route_fails_at_start(resource: Any, what: str) -> None:
    """A missing class, and a method that is allowed and not answered, are named with the path."""
    with pytest.raises(TypeError, match=f"^/x: .*{what}"):
        Routes().check("/x", resource)


def _kept(api: Api, method: str, path: str, body_bytes: int = 10, **headers: str) -> int:
    return api.admission.kept_bytes(method, path, headers.get, body_bytes)


def test_only_bodies_that_will_be_read_are_kept(api: Api, settings: Settings) -> None:
    """A POST that launches or delivers, within the limit; of any other request nothing."""
    limit = settings.max_body_bytes
    assert _kept(api, "POST", "/scenarios") == _kept(api, "POST", "/events", limit) == limit
    assert _kept(api, "POST", "/scenarios", limit + 1) == 0
    for method, path in [("GET", "/scenarios"), ("PUT", "/scenarios"), ("POST", "/health"), ("POST", "/unknown")]:
        assert _kept(api, method, path) == 0


def test_strangers_bodies_are_not_kept(settings: Settings) -> None:
    """Without the key nothing is kept, with it the whole body."""
    api = build_app(MemoryControlPlane(), dataclasses.replace(settings, api_key="s3cret"))
    assert _kept(api, "POST", "/scenarios") == _kept(api, "POST", "/scenarios", Authorization="Bearer wrong") == 0
    assert _kept(api, "POST", "/scenarios", Authorization="Bearer s3cret") == settings.max_body_bytes


def test_bodies_without_a_place_are_not_kept(settings: Settings) -> None:
    """A full daemon says so from the head; events need no place, and a deleted scenario makes one."""
    plane = MemoryControlPlane()
    full = dataclasses.replace(settings, max_scenarios=1)
    client = AppClient(plane, full)
    api = build_app(plane, full)
    (launched,) = client.launch()
    assert _kept(api, "POST", "/scenarios") == 0
    assert _kept(api, "POST", "/events") == settings.max_body_bytes
    answer = client.post_yaml("no scenario at all")
    assert (answer.status_code, answer.json["detail"]) == (
        429,
        "1 scenarios active (max 1); DELETE finished or stuck scenarios to free slots",
    )
    client.request("DELETE", f"/scenarios/{launched}")
    assert _kept(api, "POST", "/scenarios") == settings.max_body_bytes
