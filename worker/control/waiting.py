"""How everything in a worker waits: one protocol, so that a stop interrupts every wait of a sink, a retry or a tick."""

from collections.abc import Callable
from typing import Protocol

from common.messages import Held, Retune


def nothing() -> None:
    """Do nothing: what a waiter calls for nobody."""


class Waiter(Protocol):
    """Waits that end early when the scenario is stopped, and what a sink may tell the supervisor.

    Attributes:
        stopping: whether no further tick may be fired.
        given_up: whether the time for delivering what is left is over.
        stdout_discards: whether the reader of stdout is gone, so that stdout sinks drop what they get.
    """

    @property
    def stopping(self) -> bool: ...  # noqa: D102

    @property
    def given_up(self) -> bool: ...  # noqa: D102

    @property
    def stdout_discards(self) -> bool: ...  # noqa: D102

    def look(self) -> None:
        """Handle what has arrived, without waiting; let other entries of the process have their turn."""
        ...

    def wait_until(self, deadline_ns: int) -> None:
        """Return at `deadline_ns` (monotonic), or as soon as the scenario is stopping or there is news for its gate."""
        ...

    def pause(self, secs: float) -> None:
        """Wait `secs`; a stop that arrives meanwhile ends the wait, and so does `given_up`."""
        ...

    def until_writable(self, descriptor: int, timeout_secs: float | None = None) -> bool:
        """Wait for room behind `descriptor`; False when `timeout_secs` have passed or the time is given up."""
        ...

    def until_readable(self, descriptor: int, timeout_secs: float | None = None) -> bool:
        """Wait for bytes on `descriptor`; False as in `until_writable`."""
        ...

    def may_block(self) -> bool:
        """Return whether a call may block for some milliseconds by itself.

        False when others wait in this process, or when commands have not been looked at for as long as that.
        """
        ...

    def cpu_ns(self) -> int:
        """Return the processor time that the entry has taken."""
        ...

    def report_stdout_closed(self) -> None:
        """Tell the supervisor that the reader of stdout is gone, and discard from now on."""
        ...

    def log(self, level: int, message: str) -> None:
        """Send a log line to the supervisor; dropped and counted when it cannot be taken at once."""
        ...


class RunWaiter(Waiter, Protocol):
    """What a whole run waits with.

    Attributes:
        interrupted: whether it is stopping only to go on later, so that its series stay open.
        retune: the change that is asked for, which ends `wait_until`; None when there is none.
        before_blocking: called before every wait that is not one for a tick.
    """

    before_blocking: Callable[[], None]

    retune: Retune | None

    @property
    def interrupted(self) -> bool: ...  # noqa: D102

    def stop_asked(self) -> bool:
        """Return whether the scenario is stopping, by what has arrived until now."""
        ...

    def hold(self, held: Held) -> bool:
        """Report that the run stands still, and wait until it is decided whether the change holds; then it is over.

        False, too, when the scenario is stopping.
        """
        ...
