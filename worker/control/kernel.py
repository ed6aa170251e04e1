"""What a worker asks of the kernel for its own process."""

import ctypes
import os
from contextlib import suppress
from typing import Final

from common.scheduling import LONG_SLICE_NS, USUAL_SLICE_NS, ask_for_slices

_PR_SET_TIMERSLACK: Final = 29
_NICE: Final = os.getpriority(os.PRIO_PROCESS, 0) + 5

_FEW_CORES: Final = 2
"""Where there are more, one is the control plane's alone."""

_WITHOUT_WAIT_NS: Final = 100_000_000
"""Who has worked for so long without a wait probably never waits."""

_libc: Final = ctypes.CDLL(None)


def wake_exactly() -> None:
    """Let waits end when asked, not up to 50 µs later; for the calling thread."""
    _libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(1))


def leave_a_core() -> None:
    """Leave one core to the control plane; for this process and those that it forks."""
    cores = os.sched_getaffinity(0)
    if len(cores) > _FEW_CORES:
        with suppress(OSError):
            os.sched_setaffinity(0, cores - {min(cores)})


def give_way() -> None:
    """Be less urgent from now on than the control plane, the template and spares.

    They have to answer however busy the workers are that have something to run.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)


class Slices:
    """Long slices of processor time for as long as the process does not wait; used after `give_way`.

    Attributes:
        has_waited: whether it has waited since it went on last.
    """

    def __init__(self) -> None:
        self.has_waited = True
        self._is_long = False
        self._since_ns = 0

    def waited(self) -> None:
        """Note that the process has waited; nothing to note where `has_waited`."""
        self.has_waited = True
        if self._is_long:
            self._ask(is_long=False)

    def goes_on(self, now_ns: int) -> None:
        """Note that the process goes on at `now_ns` (monotonic) without a wait; to be called every few milliseconds."""
        if self.has_waited:
            self.has_waited = False
            self._since_ns = now_ns
        elif not self._is_long and now_ns - self._since_ns >= _WITHOUT_WAIT_NS:
            self._ask(is_long=True)

    def _ask(self, *, is_long: bool) -> None:
        self._is_long = is_long
        with suppress(OSError):
            ask_for_slices(LONG_SLICE_NS if is_long else USUAL_SLICE_NS)
