"""Debian's chromium, driven by playwright, and what a page must not do while it is used."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.support.backends import backend

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name that is not the daemon's own, for the page that is opened by it.
    "--host-resolver-rules=MAP elsewhere.example 127.0.0.1",
)
WAIT_MS = 30_000
VIEWPORT = {"width": 1280, "height": 800}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser without a window; without chromium the test is skipped."""
    executable = backend("chromium")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Visit:
    """One tab with nothing kept from others, and the proof that it kept to itself.

    Args:
        browser: where it is opened.
        url: of the daemon.
        options: of the tab, such as its colour scheme.

    Attributes:
        page: the tab.
        url, origin: of the daemon; a test may call it by another name.
        refusals: answers that the test brings about, by what chromium's console says of them: "409", "ERR_".
    """

    def __init__(self, browser: Browser, url: str, **options: object) -> None:
        self.origin = urlsplit(url)[:2]
        self._context = browser.new_context(**{"viewport": VIEWPORT, "reduced_motion": "reduce", **options})  # type: ignore[arg-type]
        self._messages: list[str] = []
        self._foreign: list[str] = []
        self.url = url
        self.refusals: set[str] = set()
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self._messages.append(str(error)))
        self.page.on("request", lambda request: self._see(request.url))

    def open(self, view: str = "") -> Page:
        """Open a view of the page, as somebody who follows a link."""
        self.page.goto(f"{self.url}/ui/#/{view}")
        return self.page

    def close(self) -> None:
        """Close the tab; its console must have stayed empty, and no request may have gone elsewhere."""
        self._context.close()
        assert self._messages == []
        assert self._foreign == []

    def _hear(self, message: ConsoleMessage) -> None:
        # Chromium itself reports every answer that is not a success.
        is_expected = message.text.startswith("Failed to load resource") and any(
            refusal in message.text for refusal in self.refusals
        )
        if not is_expected:
            self._messages.append(f"{message.type}: {message.text}")

    def _see(self, url: str) -> None:
        if urlsplit(url)[:2] != self.origin:
            self._foreign.append(url)
