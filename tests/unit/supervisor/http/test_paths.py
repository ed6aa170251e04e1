"""Request targets, route classes and ids in paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.http.paths import NameConverter, is_control, is_probe, is_relay, raw_path, route_of


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/health", "/health"),
        ("/scenarios?limit=1", "/scenarios"),
        ("/scenarios#top", "/scenarios"),
        ("/scenarios/a%2Fb/stats?x=/y", "/scenarios/a%2Fb/stats"),
        ("//scenarios", "//scenarios"),
        ("http://host:8080/scenarios/x?y", "/scenarios/x"),
        ("http://host", "/"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_the_path_of_a_target_stays_encoded(target: str, path: str) -> None:
    """Query, fragment and authority go, percent escapes stay."""
    assert raw_path(target) == path


@pytest.mark.parametrize("path", ["/scenarios", "/scenarios/", "/scenarios/an-id", "/scenarios/a%2Fstats", "/events"])
def test_calls_that_may_wait_are_control_routes(path: str) -> None:
    """Collection, item and events are control routes, whatever the id."""
    assert is_control(path)


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/ready",
        "/metrics",
        "/scenarios/metrics",
        "/scenarios/x/stats",
        "/scenarios/x/metrics",
        "/",
        "",
        "*",
        "/other",
    ],
)
def test_what_never_waits_is_no_control_route(path: str) -> None:
    """Health, observation and unknown paths are served beside the control calls."""
    assert not is_control(path)


@pytest.mark.parametrize(
    ("path", "is_asked"),
    [
        ("/relay/checks", True),
        ("/relay/checks/a/b", True),
        ("/relay/none", True),
        ("/relay", False),
        ("/relays/x", False),
    ],
)
def test_what_asks_the_relay_is_served_apart(path: str, is_asked: bool) -> None:
    """Everything below /relay is, and nothing of it is a control route."""
    assert is_relay(path) is is_asked
    assert not is_control(path)


@pytest.mark.parametrize(
    ("path", "asks"), [("/health", True), ("/ready", True), ("/health/", False), ("/metrics", False), ("", False)]
)
def test_probes_are_served_apart(path: str, asks: bool) -> None:
    """Liveness and readiness are, and nothing else."""
    assert is_probe(path) is asks


@pytest.mark.parametrize(
    ("template", "route"),
    [
        ("/scenarios/{scenario_id:name}/stats", "/scenarios/{id}/stats"),
        ("/relay/checks/{client:name}/{check:name}", "/relay/checks/{client}/{check}"),
        ("/metrics", "/metrics"),
    ],
)
def test_routes_are_shown_as_clients_know_them(template: str, route: str) -> None:
    """How the router converts a segment is nobody else's business."""
    assert route_of(template) == route


@given(st.text(min_size=1))
def test_any_text_can_be_an_id(text: str) -> None:
    """Percent-encoding an id and converting it back gives the id, also with slashes and other scripts in it."""
    encoded = "".join(f"%{byte:02X}" for byte in text.encode(errors="replace"))
    assert NameConverter().convert(encoded) == text.encode(errors="replace").decode()


def test_the_empty_segment_is_no_id() -> None:
    """A trailing slash does not name a scenario."""
    assert NameConverter().convert("") is None


def test_bytes_that_are_no_utf8_are_shown_as_replacement_characters() -> None:
    """A broken escape or a raw byte neither fails nor vanishes."""
    assert NameConverter().convert("%ff\xffx%zz") == "\ufffd\ufffdx%zz"
