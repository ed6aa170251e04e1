"""Probes as load balancers send them: each on a connection of its own."""

from tests.support.live_server import LiveServer, new_session


def probe(server: LiveServer, path: str = "/health") -> None:
    """Ask for `path`, which must be answered with 200."""
    with new_session() as session:
        assert session.get(server.url + path, timeout=20).status_code == 200
