"""Which path and method gets what, and in which order a request is checked."""

import re

import falcon.testing
import pytest

from supervisor.intake.autostart import Readiness
from supervisor.settings import Settings
from tests.support.http_app import MINIMAL_YAML, AppClient
from tests.support.memory_plane import MemoryControlPlane

MISSING = {"error": "unauthorized", "detail": "missing or malformed Authorization header"}
INVALID = {"error": "unauthorized", "detail": "invalid API key"}
ALLOW = {
    "/health": {"GET", "HEAD"},
    "/ready": {"GET", "HEAD"},
    "/scenarios": {"GET", "HEAD", "POST"},
    "/scenarios/metrics": {"GET", "HEAD"},
    "/metrics": {"GET", "HEAD"},
    "/scenarios/x": {"GET", "HEAD", "PATCH", "DELETE"},
    "/scenarios/x/stats": {"GET", "HEAD"},
    "/scenarios/x/metrics": {"GET", "HEAD"},
    "/events": {"POST"},
}
PUBLIC = ("/health", "/ready")
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW"]


def nothing_but(answer: falcon.testing.Result, status: int) -> bool:
    return (answer.status_code, answer.content, answer.headers.get("content-type")) == (status, b"", None)


def test_health_is_exactly_fifteen_bytes(shared_client: AppClient) -> None:
    """Liveness has one body, and JSON is its type."""
    answer = shared_client.get("/health")
    assert (answer.status_code, answer.content) == (200, b'{"status":"ok"}')
    assert "application/json" in answer.headers["content-type"]


def test_health_says_when_the_machine_is_overloaded(settings: Settings) -> None:
    """The daemon is alive all the same."""
    answer = AppClient(MemoryControlPlane(), settings, overloaded=lambda: True).get("/health")
    assert (answer.status_code, answer.content) == (200, b'{"status":"ok","overloaded":true}')


def test_ready_without_autostart(shared_client: AppClient) -> None:
    """There is nothing to wait for."""
    answer = shared_client.get("/ready")
    expected = b'{"status":"not_configured","autostart_started":0,"autostart_expected":0}'
    assert (answer.status_code, answer.content) == (200, expected)
    assert "application/json" in answer.headers["content-type"]


@pytest.mark.parametrize(
    ("status", "code"), [("in_progress", 503), ("finished", 200), ("failed", 503), ("unresponsive", 503)]
)
def test_ready_follows_the_sweep(settings: Settings, status: str, code: int) -> None:
    """It answers 200 once nothing is left to start, and never again after the sweep died."""
    readiness = Readiness(status, 3, 5)  # type: ignore[arg-type]
    answer = AppClient(MemoryControlPlane(), settings, readiness=lambda: readiness).get("/ready")
    assert answer.status_code == code
    assert answer.json == {"status": status, "autostart_started": 3, "autostart_expected": 5}


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/health/",
        "/Health",
        "/scenarios/",
        "//scenarios",
        "scenarios",
        "health",
        "/scenarios//stats",
        "/scenarios/x/",
        "/scenarios/x/stats/",
        "/scenarios/x/y",
        "/scenarios/x/stats/z",
        "/scen%61rios",
        "/ready/",
        "/events/",
        "*",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "BREW"])
def test_an_unknown_path_is_an_empty_404_whatever_the_method_and_key(
    shared_client: AppClient, shared_locked: AppClient, method: str, target: str
) -> None:
    """A trailing slash, an empty id or another spelling makes a different path, which asks for no key."""
    assert nothing_but(shared_client.request(method, target), 404)
    assert nothing_but(shared_locked.request(method, target), 404)


@pytest.mark.parametrize("path", ALLOW)
@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_method_is_an_empty_405_with_allow(shared_client: AppClient, method: str, path: str) -> None:
    """Also OPTIONS and methods nobody knows; a right one gets past the check."""
    answer = shared_client.request(method, path)
    if method in ALLOW[path]:
        assert answer.status_code != 405
    else:
        assert nothing_but(answer, 405)
        assert set(re.split(r",\s*", answer.headers["allow"])) == ALLOW[path]


@pytest.mark.parametrize(
    "target", ["/health", "/ready", "/scenarios", "/scenarios/{id}", "/scenarios/{id}/stats", "/scenarios/x"]
)
def test_head_answers_as_get_without_a_body(client: AppClient, target: str) -> None:
    """Same status, type and length."""
    (scenario_id,) = client.launch()
    target = target.replace("{id}", scenario_id)
    got, head = client.get(target), client.request("HEAD", target)
    assert head.content == b""
    assert head.status_code == got.status_code
    assert head.headers["content-length"] == str(len(got.content))
    assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize("suffix", ["", "/stats", "/metrics"])
@pytest.mark.parametrize("shown", ["nope", "a/b", "ünï", "%", "00000000-0000-0000-0000-000000000000", " "])
def test_an_unknown_id_is_named_as_decoded(shared_client: AppClient, suffix: str, shown: str) -> None:
    """Any text may stand in the path; the answer shows it decoded."""
    sent = "".join(f"%{byte:02x}" for byte in shown.encode())
    for method in ["GET"] + ["DELETE"] * (not suffix):
        answer = shared_client.request(method, f"/scenarios/{sent}{suffix}")
        assert answer.status_code == 404
        assert answer.json == {"error": "not_found", "detail": f"scenario not found: {shown}"}


@pytest.mark.parametrize("path", [path for path in ALLOW if path not in PUBLIC])
@pytest.mark.parametrize("method", METHODS)
def test_protected_routes_ask_for_the_key_before_anything_else(
    shared_locked: AppClient, method: str, path: str
) -> None:
    """Without a token or with a wrong one it is 401, also for wrong methods, unknown ids, bad queries and bodies."""
    target = f"{path}?limit=abc"
    for headers, body in (({}, MISSING), ({"Authorization": "Bearer wrong"}, INVALID)):
        answer = shared_locked.request(method, target, b"{", headers)
        assert answer.status_code == 401
        if method != "HEAD":
            assert answer.json == body


def test_the_key_opens_every_protected_route(locked: AppClient) -> None:
    """With the key a request is treated as without protection."""
    key = {"Authorization": "bearer sesame"}
    assert locked.request("GET", "/scenarios", headers=key).status_code == 200
    assert locked.request("PUT", "/scenarios", headers=key).status_code == 405
    assert locked.request("GET", "/scenarios/x/stats", headers=key).status_code == 404
    assert locked.request("GET", "/scenarios/x/metrics?limit=abc", headers=key).status_code == 400
    posted = locked.request("POST", "/scenarios", MINIMAL_YAML, {**key, "Content-Type": "text/yaml"})
    assert posted.status_code == 201


@pytest.mark.parametrize("path", PUBLIC)
def test_probes_are_never_asked_for_the_key(locked: AppClient, path: str) -> None:
    """They need no credentials, and a wrong method there is 405 at once."""
    assert locked.get(path).status_code == 200
    assert nothing_but(locked.request("POST", path), 405)


@pytest.mark.parametrize("path", ["/scenarios", "/scenarios/x"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_a_body_above_the_limit_is_refused_before_the_key_is_asked_for(
    locked: AppClient, method: str, path: str
) -> None:
    """One byte too many on a control route is an empty 413."""
    assert nothing_but(locked.request(method, path, b"x" * 1001), 413)
    assert locked.request(method, path, b"x" * 1000).status_code == 401


@pytest.mark.parametrize("path", ["/health", "/ready", "/scenarios/x/stats"])
def test_what_only_observes_has_no_body_limit(client: AppClient, path: str) -> None:
    """A body there is ignored, however large."""
    assert client.request("GET", path, b"x" * 5000).status_code == client.get(path).status_code


def test_unknown_query_parameters_and_accept_are_ignored(client: AppClient) -> None:
    """Neither ever changes an answer; there is no 406 and no 415."""
    assert client.get("/health?x=1&&=&%zz", headers={"Accept": "image/png"}).status_code == 200
    assert client.get("/scenarios?limit=abc&mode=x").json == {"scenarios": []}


def test_no_answer_speaks_of_cross_origin_access(client: AppClient) -> None:
    """A preflight gets the 405, and no Access-Control header is ever sent."""
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (client.request("OPTIONS", "/scenarios", headers=headers), client.get("/health", headers=headers)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
