"""How everything in a worker waits: one protocol, so that a stop interrupts every wait of a sink, a retry or a tick."""

from typing import Protocol


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

    def report_stdout_closed(self) -> None:
        """Tell the supervisor that the reader of stdout is gone, and discard from now on."""
        ...

    def log(self, level: int, message: str) -> None:
        """Send a log line to the supervisor; dropped and counted when it cannot be taken at once."""
        ...
