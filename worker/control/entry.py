"""One entry's waits: what ends them, and how long they may still be.

Waits for a tick end at once when the entry is stopping. Waits inside a sink go on, so that what was counted can be
delivered, but end half a second before the deadline of the stop: the process has to exit within it.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from common.clock import Clock
from common.messages import Start
from worker.control.place import Place
from worker.gates.links import LinkCommand, Links

if TYPE_CHECKING:
    from worker.control.control import Control

LEAVE_NS: Final = 500_000_000
"""Time kept for closing and leaving, out of the time a stop grants."""

_NS_PER_SEC: Final = 1_000_000_000
_NEVER_NS: Final = 1 << 62


class EntryControl:
    """The `Waiter` of one entry, and what it is told.

    Args:
        control: the process that it is in.
        scenario_id: names the entry in messages; None for a single event.
        links: where the entry hangs in gates.
        place: where it waits.
        clock: the monotonic clock of all deadlines.

    Attributes:
        scenario_id: see above.
    """

    def __init__(self, control: "Control", scenario_id: str | None, links: Links, place: Place, clock: Clock) -> None:
        self.scenario_id = scenario_id
        self._control = control
        self._links = links
        self._place = place
        self._clock = clock
        self._give_up_ns: int | None = None
        self._start: Start | None = None
        self._told: deque[tuple[LinkCommand, int | None]] = deque()

    @property
    def stopping(self) -> bool:
        """Whether no further tick may be fired."""
        return self._give_up_ns is not None

    @property
    def given_up(self) -> bool:
        """Whether the time for delivering what is left is over."""
        return self._give_up_ns is not None and self._clock.monotonic_ns() >= self._give_up_ns

    @property
    def stdout_discards(self) -> bool:
        """Whether the reader of stdout is gone."""
        return self._control.stdout_discards

    def stop(self, deadline_ns: int) -> None:
        """Stop, and be over by `deadline_ns`; the earliest of several deadlines holds. Safe in a signal handler."""
        give_up_ns = deadline_ns - LEAVE_NS
        self._give_up_ns = give_up_ns if self._give_up_ns is None else min(self._give_up_ns, give_up_ns)
        self._place.wake()

    def start(self, start: Start) -> None:
        """Take the command that `expect_start` waits for."""
        self._start = start
        self._place.wake()

    def link(self, command: LinkCommand, bell: int | None) -> None:
        """Take a command about gates, with its bell where one belongs to it; followed when the wait has ended."""
        self._told.append((command, bell))
        self._place.wake()

    def expect_start(self) -> Start | None:
        """Wait for the command to start and return it, or None when the entry is to end instead."""
        while not self.stopping and self._start is None:
            self._select((), (), None)
        return None if self.stopping else self._start

    def look(self) -> None:
        """Handle what has arrived, and let others of this process have their turn."""
        self._select((), (), 0)

    def stop_asked(self) -> bool:
        """Whether the scenario is stopping, by what has arrived until now."""
        self.look()
        return self.stopping

    def wait_until(self, deadline_ns: int) -> None:
        """Return at `deadline_ns`, or as soon as the scenario is stopping or there is news for its gate."""
        while self._give_up_ns is None and not self._links.rung:
            if self._clock.monotonic_ns() >= deadline_ns:
                return
            self._select((), (), deadline_ns)
        self._links.rung = False

    def pause(self, secs: float) -> None:
        """Wait `secs`; a stop that arrives meanwhile ends the wait, and so does the time when all is given up."""
        was_stopping = self.stopping
        until_ns = self._clock.monotonic_ns() + int(secs * _NS_PER_SEC)
        while self.stopping is was_stopping and self._clock.monotonic_ns() < self._limit_ns(until_ns):
            self._select((), (), self._limit_ns(until_ns))

    def until_writable(self, descriptor: int, timeout_secs: float | None = None) -> bool:
        """Wait for room behind `descriptor`; False when `timeout_secs` have passed or the time is given up."""
        return self._until((), (descriptor,), timeout_secs)

    def until_readable(self, descriptor: int, timeout_secs: float | None = None) -> bool:
        """Wait for bytes on `descriptor`; False as in `until_writable`."""
        return self._until((descriptor,), (), timeout_secs)

    def report_stdout_closed(self) -> None:
        """Tell the supervisor that the reader of stdout is gone, and discard from now on."""
        self._control.report_stdout_closed()

    def log(self, level: int, message: str) -> None:
        """Send a log line to the supervisor; dropped and counted when the pipe has no room."""
        self._control.log(level, message, self.scenario_id)

    def _limit_ns(self, until_ns: int) -> int:
        return until_ns if self._give_up_ns is None else min(until_ns, self._give_up_ns)

    def _until(self, readable: tuple[int, ...], writable: tuple[int, ...], timeout_secs: float | None) -> bool:
        timeout_ns = _NEVER_NS if timeout_secs is None else int(timeout_secs * _NS_PER_SEC)
        until_ns = self._clock.monotonic_ns() + timeout_ns
        while self._clock.monotonic_ns() < (limit_ns := self._limit_ns(until_ns)):
            if self._select(readable, writable, limit_ns):
                return True
        return False

    def _select(self, readable: tuple[int, ...], writable: tuple[int, ...], until_ns: int | None) -> bool:
        """Wait once, follow what was told meanwhile, and return whether one of the asked descriptors is ready."""
        bell = self._links.bell
        ready = self._place.select(readable if bell is None else (bell, *readable), writable, until_ns)
        asked = len(ready)
        if bell is not None and bell in ready:
            self._links.hear()
            asked -= 1
        while self._told:
            self._links.take(*self._told.popleft())
        return asked > 0
