"""One entry's waits: what ends them, and how long they may still be.

Waits for a tick end at once when the entry is stopping. Waits inside a sink go on, so that what was counted can be
delivered, but end half a second before the deadline of the stop: the process has to exit within it.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from common.clock import Clock
from common.messages import Decide, Held, Retune, Start
from worker.control.place import WaitingPlace
from worker.control.waits import Waits
from worker.gates.links import LinkCommand, Links

if TYPE_CHECKING:
    from worker.control.control import Control

LEAVE_NS: Final = 500_000_000
"""Time kept for closing and leaving, out of the time a stop grants."""


class EntryControl(Waits):
    """The `Waiter` of one entry, and what it is told.

    Args:
        control: the process that it is in.
        scenario_id: names the entry in messages; None for a single event.
        links: where the entry hangs in gates.
        place: where it waits.
        clock: the monotonic clock of all deadlines.

    Attributes:
        scenario_id: see above.
        retune: the change that is asked for.
    """

    def __init__(
        self, control: "Control", scenario_id: str | None, links: Links, place: WaitingPlace, clock: Clock
    ) -> None:
        super().__init__(place, clock)
        self.scenario_id = scenario_id
        self._control = control
        self._links = links
        self._lanes: list[Waits] = []
        self._is_interrupted = True
        self.retune: Retune | None = None
        self._decided: bool | None = None
        self._start: Start | None = None
        self._told: deque[tuple[LinkCommand, int | None]] = deque()

    @property
    def interrupted(self) -> bool:
        """Whether it is stopping only to go on later."""
        return self.stopping and self._is_interrupted

    @property
    def stdout_discards(self) -> bool:
        """Whether the reader of stdout is gone."""
        return self._control.stdout_discards

    def stop(self, deadline_ns: int, *, interrupts: bool) -> None:
        """Stop, and be over by `deadline_ns`; safe in a signal handler.

        Of several calls the earliest deadline holds, and `interrupts`, which says that the run is to go on later, only
        when all of them say so.
        """
        self._is_interrupted = self._is_interrupted and interrupts
        for waits in (self, *self._lanes):
            waits.give_up(deadline_ns - LEAVE_NS)

    def add(self, lane: Waits) -> None:
        """Let a stop of the entry be one of the work beside it, too."""
        self._lanes.append(lane)

    def start(self, start: Start) -> None:
        """Take the command that `expect_start` waits for."""
        self._start = start
        self._place.wake()

    def link(self, command: LinkCommand, bell: int | None) -> None:
        """Take a command about gates, with its bell where one belongs to it; followed when the wait has ended."""
        self._told.append((command, bell))
        self._place.wake()

    def ask(self, command: Retune) -> None:
        """Take a change that is to be made."""
        self.retune, self._decided = command, None
        self._place.wake()

    def decide(self, command: Decide) -> None:
        """Take the decision about a change; one that nobody has looked at yet is forgotten when it does not hold."""
        if self.retune is not None and command.number == self.retune.number:
            self._decided = command.holds
            if not command.holds:
                self.retune = None
            self._place.wake()

    def hold(self, held: Held) -> bool:
        """Report that the run stands still, and wait for the decision; False, too, when the scenario is stopping."""
        if self.retune is None:
            return False
        self._control.report(held)
        while not self.stopping and self._decided is None:
            self._select((), (), None)
        holds, self.retune, self._decided = self._decided, None, None
        return holds is True

    def expect_start(self) -> Start | None:
        """Wait for the command to start and return it, or None when the entry is to end instead."""
        while not self.stopping and self._start is None:
            self._select((), (), None)
        return None if self.stopping else self._start

    def stop_asked(self) -> bool:
        """Whether the scenario is stopping, by what has arrived until now."""
        self.look()
        return self.stopping

    def wait_until(self, deadline_ns: int) -> None:
        """Return at `deadline_ns`, or as soon as the scenario is stopping or changed, or its gate has news."""
        links, now_ns = self._links, self._clock.monotonic_ns
        while self._give_up_ns is None and not links.rung and self.retune is None:
            if links.bell is None:
                # PERF: every wake-up comes this way.
                self._place.select((), (), deadline_ns)
                if self._told:
                    self._follow()
            else:
                self._select((), (), deadline_ns)
            if now_ns() >= deadline_ns:
                return
        links.rung = False

    def report_stdout_closed(self) -> None:
        """Tell the supervisor that the reader of stdout is gone, and discard from now on."""
        self._control.report_stdout_closed()

    def log(self, level: int, message: str) -> None:
        """Send a log line to the supervisor; dropped and counted when the pipe has no room."""
        self._control.log(level, message, self.scenario_id)

    def _select(self, readable: tuple[int, ...], writable: tuple[int, ...], until_ns: int | None) -> bool:
        """Wait once, follow what was told meanwhile, and return whether one of the asked descriptors is ready."""
        bell = self._links.bell
        if bell is None:
            asked = len(self._place.select(readable, writable, until_ns))
        else:
            ready = self._place.select((bell, *readable), writable, until_ns)
            asked = len(ready)
            if bell in ready:
                self._links.hear()
                asked -= 1
        self._follow()
        return asked > 0

    def _follow(self) -> None:
        while self._told:
            self._links.take(*self._told.popleft())
