"""Where an entry waits: alone in its process, or in turn with others of the same one."""

from collections.abc import Sequence
from typing import Protocol


class Place(Protocol):
    """The one operation behind all waits of an entry."""

    def select(self, readable: Sequence[int], writable: Sequence[int], until_ns: int | None) -> Sequence[int]:
        """Wait once for one of these descriptors, and return those that are ready.

        What else concerns the process or the entry is handled meanwhile and ends the wait: none may be ready, and
        `until_ns` (monotonic; None for no limit) may still be ahead.
        """
        ...

    def wake(self) -> None:
        """End the wait that the entry is in, if it is in one; safe in a signal handler."""
        ...
