"""One browser for the tests of a file; each opens a tab with nothing kept from the one before."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Visit, chromium
from tests.support.live_server import LiveServer

OpenPage = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def visit_to(browser: Browser) -> Iterator[OpenPage]:
    """Open tabs on daemons; arguments as for `Visit`, without the browser."""
    visits: list[Visit] = []

    def opened(server: LiveServer, **options: object) -> Visit:
        visits.append(Visit(browser, server.url, **options))
        return visits[-1]

    yield opened
    for visit in visits:
        visit.close()


@pytest.fixture
def visit(visit_to: OpenPage, shared_server: LiveServer) -> Visit:
    """A tab on the shared daemon."""
    return visit_to(shared_server)
