"""Taking turns with other processes, without ever blocking in the kernel."""

import fcntl
from typing import Final

from worker.control.waiting import Waiter

_POLL_SECS: Final = 0.0002


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
        while True:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
            except BlockingIOError:
                if self._waiter.given_up:
                    raise
                self._waiter.pause(_POLL_SECS)
            else:
                return

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1)
