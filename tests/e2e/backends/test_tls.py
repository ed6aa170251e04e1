"""Pushing over TLS through a real proxy: certificates are verified, and what is wrong with one is said."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.support.backends.tls_proxy import TlsProxy
from tests.support.live_server import LiveServer
from tests.support.receiver import Receiver

StartProxy = Callable[..., TlsProxy]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def start_proxy(tmp_path: Path, receiver: Receiver) -> Iterator[StartProxy]:
    """Start a TLS proxy in front of the receiver; arguments as for `TlsProxy` behind these."""
    proxies: list[TlsProxy] = []

    def start(*names: str) -> TlsProxy:
        directory = tmp_path / f"proxy-{len(proxies)}"
        directory.mkdir()
        proxies.append(TlsProxy(directory, receiver.url, *names))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.stop()


def pushed(server: LiveServer, sink: dict[str, Any], rate: int = 400) -> dict[str, Any]:
    """Run a scenario of a second to its end and return its stats."""
    scenario = {
        "id": "up",
        "signal_type": "metrics",
        "name": "up",
        "rate": rate,
        "duration": "1s",
        "generator": {"type": "step", "step_size": 1},
        "encoder": {"type": "prometheus_text"},
        "sink": sink,
    }
    (row,) = server.launch({"version": 2, "scenarios": [scenario]})
    return server.wait_for_state(row["id"], "finished", 20)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_own_authority_is_trusted_by_its_path(
    start_server: StartServer, start_proxy: StartProxy, receiver: Receiver, host: str
) -> None:
    """SSL_CERT_FILE of the daemon names it; everything arrives, over one connection to the proxy."""
    proxy = start_proxy()
    server = start_server(environment={"SSL_CERT_FILE": str(proxy.authority_path)})
    stats = pushed(server, {"type": "http_push", "url": f"https://{host}:{proxy.port}/x", "batch_size": 1000})
    assert stats["total_events"] > 0
    assert stats["errors"] == 0
    values = [line.split()[1] for line in b"".join(receiver.kept).decode().splitlines()]
    assert values == [str(tick) for tick in range(stats["total_events"])]


def test_bodies_of_many_records_arrive_whole(
    start_server: StartServer, start_proxy: StartProxy, receiver: Receiver
) -> None:
    """A mebibyte is more than TLS or a socket takes at a time."""
    proxy = start_proxy()
    server = start_server(environment={"SSL_CERT_FILE": str(proxy.authority_path)})
    sink = {"type": "http_push", "url": f"https://localhost:{proxy.port}", "batch_size": 1 << 20}
    stats = pushed(server, sink, rate=200_000)
    assert stats["errors"] == 0
    assert len(receiver.kept[0]) >= 1 << 20
    values = [line.split()[1] for line in b"".join(receiver.kept).decode().splitlines()]
    assert values == [str(tick) for tick in range(stats["total_events"])]


def test_an_unknown_authority_is_not_trusted(server: LiveServer, start_proxy: StartProxy, receiver: Receiver) -> None:
    """Nothing is sent; the reason names what can be done."""
    proxy = start_proxy()
    url = f"https://localhost:{proxy.port}"
    stats = pushed(server, {"type": "loki", "url": url, "batch_size": 100})
    assert stats["last_sink_error"].startswith(
        f"Loki push to '{url}/loki/api/v1/push' failed: the certificate cannot be verified: "
    )
    assert "SSL_CERT_FILE" in stats["last_sink_error"]
    assert stats["errors"] > 0
    assert stats["last_successful_write_at"] is None
    assert receiver.requests == []


def test_a_certificate_of_another_name_is_not_trusted(
    start_server: StartServer, start_proxy: StartProxy, receiver: Receiver
) -> None:
    """Even when its authority is."""
    proxy = start_proxy("DNS:elsewhere.example")
    server = start_server(environment={"SSL_CERT_FILE": str(proxy.authority_path)})
    stats = pushed(server, {"type": "http_push", "url": f"https://localhost:{proxy.port}"})
    assert "the certificate cannot be verified: Hostname mismatch" in stats["last_sink_error"]
    assert receiver.requests == []


def test_an_authority_file_that_cannot_be_read_ends_the_scenario(start_server: StartServer, tmp_path: Path) -> None:
    """At its start, with the path; plain HTTP does not need the file."""
    path = tmp_path / "missing.pem"
    server = start_server(environment={"SSL_CERT_FILE": str(path)})
    stats = pushed(server, {"type": "http_push", "url": "https://localhost:1"})
    expected = f"cannot read the certificates of SSL_CERT_FILE '{path}': No such file or directory"
    assert (stats["total_events"], stats["last_sink_error"]) == (0, expected)
