"""What the I/O thread asks about a request as soon as its head is there."""

from collections.abc import Callable
from typing import Protocol

from supervisor.http.routes import Serves


class Reception(Protocol):
    """Who decides about a request by its head."""

    def serves(self, path: str) -> Serves:
        """Return the class of `path`, still percent-encoded; bodies of control calls have a limit."""
        ...

    def threads(self, method: str, path: str) -> Serves:
        """Return which threads serve a request to `path`, still percent-encoded."""
        ...

    def kept_bytes(self, method: str, path: str, header: Callable[[str], str | None], body_bytes: int) -> int:
        """Return how much of a request's body may be kept."""
        ...
