"""Work that may take long, whatever a body asks for: it is given up when the entry is to stop."""

from collections.abc import Callable
from typing import Final

_STEPS: Final = 256
"""PERF: so many small steps take some milliseconds, and asking costs less than one of them."""


class Interrupted(Exception):  # noqa: N818 - nothing has gone wrong
    """The entry is stopping, and what was begun is given up."""


def never() -> bool:
    """Return False: nothing interrupts."""
    return False


class LongWork:
    """Work of many small steps, which asks now and then whether it is to be given up.

    Args:
        interrupted: whether it is.
    """

    __slots__ = ("_interrupted", "_left")

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted
        self._left = _STEPS

    def step(self) -> None:
        """Make one step.

        Raises:
            Interrupted: the work is to be given up.
        """
        self._left -= 1
        if not self._left:
            self._left = _STEPS
            if self._interrupted():
                raise Interrupted
