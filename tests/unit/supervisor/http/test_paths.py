"""Request targets and ids in paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.http.paths import NameConverter, raw_path, route_of


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
