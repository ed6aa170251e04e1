"""Taking turns with other entries, of this process or another,, without ever blocking in the kernel."""

import fcntl
import os
from errno import EAGAIN
from typing import Final

from worker.control.waiting import Waiter

_POLL_SECS: Final = 0.0002

# A record lock belongs to a process: the kernel would give it to a second entry of the same one.
_held: Final[set[int]] = set()


class Turn:
    """A context manager that holds a record lock; a process that dies inside gives it up.

    Args:
        descriptor: a file that all who take turns have open, for writing.
        waiter: for waiting while another has the turn.

    Raises:
        BlockingIOError: on entering, when the time was given up before the turn came.
    """

    __slots__ = ("_descriptor", "_waiter")

    def __init__(self, descriptor: int, waiter: Waiter) -> None:
        self._descriptor = descriptor
        self._waiter = waiter

    def __enter__(self) -> None:
        while not self._is_mine():
            if self._waiter.given_up:
                raise BlockingIOError(EAGAIN, os.strerror(EAGAIN))
            self._waiter.pause(_POLL_SECS)
        _held.add(self._descriptor)

    def __exit__(self, *_: object) -> None:
        _held.remove(self._descriptor)
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1)

    def _is_mine(self) -> bool:
        if self._descriptor in _held:
            return False
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except BlockingIOError:
            return False
        return True
