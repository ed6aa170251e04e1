"""Reading the state: admin socket, series, staleness, and the control plane's routes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import falcon
import falcon.testing
import pytest

from supervisor.http.paths import NameConverter
from supervisor.http.relay import routes
from supervisor.relay_link.child import RelayChild
from supervisor.relay_link.client import RelayClient
from tests.support.live_relay import LiveRelay, clients_config, live, own, request
from tests.support.polling import wait_until
from tests.support.ports import free_port

CHECKS = '"a": {urn: "*", description: "first"}, "b": {urn: "*"}, "c": {urn: "urn:c", ttl: 1h}'


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRelay]:
    port = free_port()
    config = clients_config(
        own(CHECKS) + "\n" + own('"z": {urn: "*"}', name="limited", extra="rate: 0.001, burst: 2, "),
        relay=f"admin: {{tcp: '127.0.0.1:{port}'}}",
    )
    with live(tmp_path_factory.mktemp("relay"), config) as started:
        started.tcp = ("127.0.0.1", port)  # type: ignore[attr-defined]
        yield started


def metrics_body(*metrics: dict[str, object], status: str = "ok") -> bytes:
    return json.dumps({"status": status, "metrics": list(metrics)}).encode()


def test_the_listing_is_filtered_and_paged(relay: LiveRelay) -> None:
    """Sorted by client, then check; `total` counts all that match, configured checks without a report included."""
    relay.post("agent", "a", metrics_body(status="warn"))
    listing = relay.admin("GET", "/checks").json()
    assert [(line["client"], line["check"]) for line in listing["checks"]] == [
        ("agent", "a"), ("agent", "b"), ("agent", "c"), ("limited", "z"),
    ]  # fmt: skip
    assert listing["total"] == 4
    page = relay.admin("GET", "/checks?client=agent&limit=1&offset=1").json()
    assert ([line["check"] for line in page["checks"]], page["total"]) == (["b"], 3)
    warned = relay.admin("GET", "/checks?status=warn&stale=false").json()["checks"]
    assert [line["check"] for line in warned] == ["a"]
    assert relay.admin("GET", "/checks?limit=10001").status == 409
    assert relay.admin("GET", "/checks?status=odd").status == 409


def test_a_single_check_has_its_history(relay: LiveRelay) -> None:
    """All fields, times as UTC texts with milliseconds, the history oldest first."""
    relay.post("agent", "b", metrics_body({"name": "urn:b", "type": "Integer", "value": 7.0}), {"X-Relay-Time": "5"})
    shown = relay.check("agent", "b")
    assert list(shown) == [
        "client", "check", "urn", "status", "message", "metrics", "updated_at", "origin_at", "since", "updates",
        "transitions", "stale", "request_id", "peer", "listening", "forward", "history",
    ]  # fmt: skip
    assert shown["metrics"] == [{"name": "urn:b", "type": "Integer", "value": 7}]
    assert shown["origin_at"] == shown["updated_at"]  # an agent cannot set times
    assert shown["peer"]["pid"] == os.getpid()
    assert shown["history"][0]["from"] is None
    assert relay.admin("GET", "/checks/agent/none").json()["code"] == "ResourceNotFound"


def test_series(relay: LiveRelay) -> None:
    """Values by type, the last of equal names, no series for strings, counters for all statuses."""
    body = metrics_body(
        {"name": "urn:c:i", "type": "Integer", "value": 2**62},
        {"name": "urn:c:f", "type": "Float", "value": 1},
        {"name": "urn:c:b", "type": "Boolean", "value": True},
        {"name": "urn:c:s", "type": "String", "value": "x"},
        {"name": "urn:c:i", "type": "Integer", "value": 3},
        status="error",
    )
    assert relay.post("agent", "c", body).status == 202
    text = relay.admin("GET", "/metrics")
    assert text.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    prefix = 'sondad_relay_check_metric{client="agent",check="c",name='
    lines = [line.removeprefix(prefix) for line in text.body.decode().splitlines() if line.startswith(prefix)]
    assert lines == ['"urn:c:i",type="Integer"} 3', '"urn:c:f",type="Float"} 1', '"urn:c:b",type="Boolean"} 1']
    assert relay.metric('sondad_relay_check_status{client="agent",check="c"}') == "2"
    assert relay.metric('sondad_relay_check_stale{client="agent",check="c"}') == "0"
    assert relay.metric('sondad_relay_check_stale{client="agent",check="a"}') is None
    types = [line.split()[2] for line in text.body.decode().splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))


def test_the_rate_limit_answers_429(relay: LiveRelay) -> None:
    """Above rate and burst the client is told when to come again; others are not affected."""
    assert [relay.post("limited", "z").status for _ in range(3)] == [202, 202, 429]
    answer = relay.post("limited", "z")
    assert (answer.json()["code"], int(answer.headers["Retry-After"]) > 0) == ("UnknownError", True)
    assert relay.post("agent", "a").status == 202


@pytest.mark.parametrize(
    ("target", "status", "code", "message"),
    [
        ("/state", 409, "MissingParameter", '"action" is required'),
        ("/state?action=dance", 409, "InvalidArgument", '"dance" is not a valid action'),
        ("/state?action=loglevel", 409, "InvalidArgument", '"level" is required'),
        ("/state?action=loglevel&level=debug", 202, None, None),
        ("/state?action=flush", 202, None, None),
        ("/nowhere", 404, "ResourceNotFound", "no such resource: /nowhere"),
        ("/ping", 405, "UnknownError", "POST is not allowed on /ping"),
    ],
)
def test_actions(relay: LiveRelay, target: str, status: int, code: str | None, message: str | None) -> None:
    """Actions answer 202 with an empty body, the rest its documented error."""
    answer = relay.admin("POST", target)
    assert answer.status == status
    assert (answer.json() if code else answer.body) == ({"code": code, "message": message} if code else b"")


def test_the_tcp_listener_only_reads(relay: LiveRelay) -> None:
    """Without peer credentials nothing can be changed."""
    address = relay.tcp  # type: ignore[attr-defined]
    assert request(address, "GET", "/ping").json()["ping"] == "pong"
    refused = request(address, "POST", "/state?action=reload")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the peer runs under another user id")
def test_strangers_may_not_administrate(tmp_path: Path) -> None:
    """The admin and the notify socket look at the peer's uid, whatever the file mode says."""
    relay_options = 'admin: {mode: "0666", allow_uids: [7]}, notify: {mode: "0666", allow_uids: [7]}'
    relay = LiveRelay(tmp_path, clients_config(own(CHECKS), relay=relay_options))
    try:
        relay.launch()
        wait_until(lambda: os.path.exists(relay.sock("agent")), "it listens")
        answer = request(relay.admin_path, "GET", "/ping")
        assert (answer.status, answer.json()["code"]) == (403, "NotAuthorized")
        assert relay.stop() == 0
    finally:
        relay.kill()


def test_a_check_goes_stale_once(tmp_path: Path) -> None:
    """Without an update for the ttl the relay commits `on_stale` once; the next real update clears it."""
    checks = '"quiet": {urn: "*", ttl: 1s, on_stale: error}, "plain": {urn: "*", ttl: 1s}'
    with live(tmp_path / "relay", clients_config(own(checks))) as relay:
        relay.post("agent", "quiet")
        relay.post("agent", "plain")
        wait_until(lambda: relay.check("agent", "quiet")["status"] == "error", "the check is stale")
        wait_until(lambda: relay.check("agent", "plain")["stale"], "the other one too")
        shown = relay.check("agent", "quiet")
        assert (shown["stale"], shown["message"], shown["transitions"]) == (True, "no update for 1s", 2)
        assert relay.check("agent", "plain")["status"] == "ok"
        relay.kill()
        relay.start()
        wait_until(lambda: relay.check("agent", "plain")["stale"], "wall time counts over a restart")
        shown = relay.check("agent", "quiet")
        assert (shown["stale"], shown["updates"]) == (True, 2)

        def cleared() -> bool:
            assert relay.post("agent", "quiet").status == 202
            return relay.check("agent", "quiet")["stale"] is False

        # It goes stale again after a second, in which a busy machine may not come to look.
        wait_until(cleared, "an update clears it")


def test_dynamic_checks_are_bounded(tmp_path: Path) -> None:
    """With `accept_unknown` new pairs are taken up to the limit; the name rule is skipped, the grammar is not."""
    config = clients_config(own("", name="rack", extra="kind: relay, accept_unknown: true, max_dynamic: 2, "))
    with live(tmp_path / "relay", config) as relay:
        body = metrics_body({"name": "amon:logscan", "type": "Integer", "value": 1})
        assert relay.post("rack", "x", metrics_body({"name": "bad", "type": "Integer", "value": 1})).status == 409
        assert [relay.post("rack", check, body).status for check in ("x", "y", "z", "x")] == [202, 202, 404, 202]
        relay.kill()
        relay.start()
        assert [relay.post("rack", check, body).status for check in ("z", "y")] == [404, 202]


def control_plane(admin_path: str, timeout_secs: float = 20.0) -> falcon.testing.TestClient:
    app = falcon.App()
    app.router_options.converters["name"] = NameConverter
    for path, resource in routes(RelayClient(admin_path, timeout_secs)):
        app.add_route(path, resource)
    return falcon.testing.TestClient(app)


def test_the_control_plane_shows_the_relay(relay: LiveRelay) -> None:
    """The four routes pass on the relay's answers, in the control plane's error shape."""
    client = control_plane(relay.admin_path)
    relay.post("agent", "a", metrics_body(status="error"))
    assert client.simulate_get("/relay/checks?status=error&limit=1").json["checks"][0]["check"] == "a"
    assert client.simulate_get("/relay/checks/agent/a").json["status"] == "error"
    unknown = client.simulate_get("/relay/checks/agent/none")
    assert (unknown.status_code, unknown.json["error"]) == (404, "not_found")
    assert client.simulate_get("/relay/checks?limit=x").json["error"] == "bad_request"
    assert "sondad_relay_check_status" in client.simulate_get("/relay/metrics").text
    assert client.simulate_get("/relay/health").json["status"] == "OK"


def test_a_relay_that_is_down_or_silent_is_a_503(tmp_path: Path, relay: LiveRelay) -> None:
    """Absent, or stopped in its tracks: the answer comes within the bound and says so."""
    absent = control_plane(str(tmp_path / "admin.sock")).simulate_get("/relay/checks")
    assert (absent.status_code, absent.json["error"]) == (503, "relay_unavailable")
    assert relay.process is not None
    os.kill(relay.process.pid, 19)
    try:
        silent = control_plane(relay.admin_path, 0.2).simulate_get("/relay/health")
        assert (silent.status_code, silent.json["error"]) == (503, "relay_unavailable")
        assert "no answer within 0.2 s" in silent.json["detail"]
    finally:
        os.kill(relay.process.pid, 18)


def takes_updates(relay: LiveRelay) -> bool:
    """Return whether it answers: its socket is there a moment before it listens."""
    with suppress(OSError):
        return relay.post("agent", "a").status == 202
    return False


def test_a_relay_that_dies_is_started_again(tmp_path: Path) -> None:
    """The control plane's child: killed, it comes back after its delay and serves; stopped, it stays away."""
    relay = LiveRelay(tmp_path, clients_config(own(CHECKS)))
    child = RelayChild(str(relay.config))
    child.start(time.monotonic())
    try:
        wait_until(lambda: takes_updates(relay), "it serves")
        first = relay.admin("GET", "/ping").json()["pid"]
        os.kill(first, 9)

        def is_back() -> bool:
            child.poll(time.monotonic())
            try:
                answer = relay.admin("GET", "/ping")
            except OSError:
                return False
            return answer.status == 200 and bool(answer.json()["pid"] != first)

        wait_until(is_back, "the relay is back")
        assert relay.check("agent", "a")["status"] == "ok"
    finally:
        child.stop(time.monotonic())

        def is_gone() -> bool:
            child.poll(time.monotonic())
            return not child.running

        wait_until(is_gone, "the relay is gone")
    assert child.next_deadline is None
    assert not os.path.exists(relay.sock("agent"))


def test_the_relay_imports_no_worker() -> None:
    """A sibling process: nothing of load generation is loaded, and no web framework either."""
    watched = "('worker', 'falcon', 'waitress', 'numpy')"
    code = f"import sys, supervisor.relay.main; print([name for name in {watched} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
