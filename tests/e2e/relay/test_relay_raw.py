"""Bytes that are no request, sent to a relay: the right answer at once, whoever sends them."""

from collections.abc import Iterator

import pytest

from tests.support.live_relay import LiveRelay, clients_config, exchange, live, own
from tests.support.raw_requests import RAW_REQUESTS

# Agents of old leave it out.
TAKEN = {"no host"}


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRelay]:
    """A relay whose timeout is longer than a test may take."""
    config = clients_config(own(), relay="request_timeout: 60s")
    with live(tmp_path_factory.mktemp("raw"), config) as running:
        yield running


@pytest.mark.parametrize("name", [name for name in RAW_REQUESTS if name not in TAKEN])
@pytest.mark.parametrize("socket", ["client", "admin"])
def test_what_is_no_request_is_refused_at_once(relay: LiveRelay, socket: str, name: str) -> None:
    """One complete answer, then the end; nothing behind the request is served."""
    raw, statuses = RAW_REQUESTS[name]
    answer = exchange(relay.sock("agent") if socket == "client" else relay.admin_path, raw)
    assert answer.status in statuses
    assert answer.raw.count(b"HTTP/1.1 ") == 1
    assert set(answer.json()) == {"code", "message"}
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("method", [b"post", b"Post", b"get", b"BREW"])
def test_methods_have_a_case(relay: LiveRelay, method: bytes) -> None:
    """A method that the resource does not have is answered with those that it has."""
    answer = exchange(relay.sock("agent"), method + b" /checks/123 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "target", [b"*", b"/", b"//", b"/checks%2F*%2F*", b"/checks%2F*", b"/%2A", b"/checks//", b"http://h", b"/?a=%"]
)
def test_targets_that_name_nothing(relay: LiveRelay, target: bytes) -> None:
    """Whatever a path looks like, it is known or it is not."""
    request = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert exchange(relay.admin_path, request).status == 404
    assert exchange(relay.sock("agent"), request).status == 404
