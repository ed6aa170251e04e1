"""Waits at a place that a stop bounds: what the waits of an entry and of the work beside it have in common."""

from collections.abc import Callable
from typing import Final

from common.clock import Clock
from worker.control.place import WaitingPlace
from worker.control.waiting import nothing

_NS_PER_SEC: Final = 1_000_000_000
_NEVER_NS: Final = 1 << 62


class Waits:
    """The waiting half of a `Waiter`.

    Args:
        place: where to wait.
        clock: the monotonic clock of all deadlines.

    Attributes:
        before_blocking: called before every wait that is not one for a tick.
    """

    def __init__(self, place: WaitingPlace, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self._give_up_ns: int | None = None
        self.before_blocking: Callable[[], None] = nothing

    @property
    def stopping(self) -> bool:
        """Whether no further tick may be fired."""
        return self._give_up_ns is not None

    @property
    def given_up(self) -> bool:
        """Whether the time for delivering what is left is over."""
        return self._give_up_ns is not None and self._clock.monotonic_ns() >= self._give_up_ns

    def give_up(self, at_ns: int) -> None:
        """Stop, and end every wait at an instant; the earliest of several holds. Safe in a signal handler."""
        self._give_up_ns = at_ns if self._give_up_ns is None else min(self._give_up_ns, at_ns)
        self._place.wake()

    def wake(self) -> None:
        """End one wait, so that its condition is looked at again; safe in a signal handler."""
        self._place.wake()

    def look(self) -> None:
        """Handle what has arrived, and let others of this process have their turn."""
        self._select((), (), 0)

    def wait_until(self, deadline_ns: int) -> None:
        """Return at `deadline_ns`, or as soon as the scenario is stopping."""
        while self._give_up_ns is None and self._clock.monotonic_ns() < deadline_ns:
            self._select((), (), deadline_ns)

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Wait until a condition holds, which is looked at whenever a wait ends: whoever makes it hold calls `wake`."""
        self.before_blocking()
        while not is_so():
            self._select((), (), None)

    def pause(self, secs: float) -> None:
        """Wait `secs`; a stop that arrives meanwhile ends the wait, and so does the time when all is given up."""
        self.before_blocking()
        was_stopping = self.stopping
        until_ns = self._clock.monotonic_ns() + int(secs * _NS_PER_SEC)
        while self.stopping is was_stopping and self._clock.monotonic_ns() < self._limit_ns(until_ns):
            self._select((), (), self._limit_ns(until_ns))

    def until_writable(self, descriptor: int, timeout_secs: float | None = None) -> bool:
        """Wait for room behind `descriptor`; False when `timeout_secs` have passed or the time is given up."""
        return self._until((), (descriptor,), timeout_secs)

    def may_block(self) -> bool:
        """Return whether a call may block for some milliseconds by itself."""
        return self._place.may_block()

    def cpu_ns(self) -> int:
        """Return the processor time that the entry has taken."""
        return self._place.cpu_ns()

    def until_readable(self, descriptor: int, timeout_secs: float | None = None) -> bool:
        """Wait for bytes on `descriptor`; False as in `until_writable`."""
        return self._until((descriptor,), (), timeout_secs)

    def _limit_ns(self, until_ns: int) -> int:
        return until_ns if self._give_up_ns is None else min(until_ns, self._give_up_ns)

    def _until(self, readable: tuple[int, ...], writable: tuple[int, ...], timeout_secs: float | None) -> bool:
        self.before_blocking()
        timeout_ns = _NEVER_NS if timeout_secs is None else int(timeout_secs * _NS_PER_SEC)
        until_ns = self._clock.monotonic_ns() + timeout_ns
        while self._clock.monotonic_ns() < (limit_ns := self._limit_ns(until_ns)):
            if self._select(readable, writable, limit_ns):
                return True
        return False

    def _select(self, readable: tuple[int, ...], writable: tuple[int, ...], until_ns: int | None) -> bool:
        """Wait once, and return whether one of the asked descriptors is ready."""
        return bool(self._place.select(readable, writable, until_ns))
