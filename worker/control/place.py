"""Where an entry waits: alone in its process, or in turn with others of the same one."""

from collections.abc import Callable, Sequence
from typing import Protocol


class WaitingPlace(Protocol):
    """The one operation behind all waits of an entry."""

    def select(self, readable: Sequence[int], writable: Sequence[int], until_ns: int | None) -> Sequence[int]:
        """Wait once for one of these descriptors, and return those that are ready.

        What else concerns the process or the entry is handled meanwhile and ends the wait: none may be ready, and
        `until_ns` (monotonic; None for no limit) may still be ahead.
        """
        ...

    def may_block(self) -> bool:
        """Return whether a call other than `select` may block for some milliseconds: that holds up nobody."""
        ...

    def cpu_ns(self) -> int:
        """Return the processor time that the entry has taken."""
        ...

    def wake(self) -> None:
        """End the wait that the entry is in, if it is in one; safe in a signal handler."""
        ...


class SharedPlace(WaitingPlace, Protocol):
    """A place among several of one process."""

    def beside(self, work: Callable[[], None]) -> "SharedPlace":
        """Let `work` have turns of its own, until it returns, and return the place where it waits."""
        ...
