"""Work beside an entry's own, such as several requests in flight: each lane waits by itself, a stop ends them all."""

from collections.abc import Callable

from common.clock import Clock
from worker.control.entry import EntryControl
from worker.control.place import SharedPlace
from worker.control.waits import Waits


class Lanes:
    """The lanes of one entry.

    Args:
        entry: whose stop is theirs.
        place: where the entry waits, in turn with others.
        clock: the monotonic clock of all deadlines.

    Attributes:
        entry: see above.
    """

    def __init__(self, entry: EntryControl, place: SharedPlace, clock: Clock) -> None:
        self.entry = entry
        self._place = place
        self._clock = clock

    def add(self) -> "Lane":
        """Return one more, with nothing to do yet."""
        lane = Lane(self.entry, self._place, self._clock)
        self.entry.add(lane)
        return lane


class Lane(Waits):
    """The `Waiter` of one lane.

    Args:
        entry: see `Lanes`.
        place: where the entry waits.
        clock: the monotonic clock of all deadlines.
    """

    def __init__(self, entry: EntryControl, place: SharedPlace, clock: Clock) -> None:
        super().__init__(place, clock)
        self._entry = entry
        self._shared = place

    @property
    def stdout_discards(self) -> bool:
        """Whether the reader of stdout is gone."""
        return self._entry.stdout_discards

    def begin(self, work: Callable[[], None]) -> None:
        """Do `work` while the entry goes on; it waits by this lane, raises nothing, and is over before the entry is."""
        self._place = self._shared.beside(work)

    def wake_entry(self) -> None:
        """Let the entry look again at what it waits for."""
        self._entry.wake()

    def report_stdout_closed(self) -> None:
        """Tell the supervisor that the reader of stdout is gone, and discard from now on."""
        self._entry.report_stdout_closed()

    def log(self, level: int, message: str) -> None:
        """Send a log line to the supervisor; dropped and counted when the pipe has no room."""
        self._entry.log(level, message)
