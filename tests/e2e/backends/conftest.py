"""The real servers are started for each test; the daemon need not be."""

import pytest

from tests.support.live_server import LiveServer


@pytest.fixture
def server(shared_server: LiveServer) -> LiveServer:
    return shared_server
