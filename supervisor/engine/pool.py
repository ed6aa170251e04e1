"""Warm spares: how many there should be, how many there are, and what happens when they keep dying.

Pure over what `start` returns: `now_ns` (CLOCK_MONOTONIC) is an argument, no process, pipe or clock is touched. The
main loop asks `due_ns` and calls `start_one` when it is time.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from supervisor.engine.control_plane import LaunchError

TOLERATED_FAILURES: Final = 4
"""So many spares may die within the window and are replaced at once."""

REFUSING_FAILURES: Final = 6
"""From so many on, bodies are refused while no worker is there or on its way."""

_WINDOW_NS: Final = 30_000_000_000
_BACKOFF_NS: Final = 100_000_000
_MAX_BACKOFF_NS: Final = 10_000_000_000
_REST_NS: Final = 10_000_000
"""How long the first events of a body have the processors for themselves."""

_SHORT_NS: Final = 1_000_000_000
"""How long after a limit left no room the next spare is tried; those whom a body waits for are tried at once."""


class HasRow(Protocol):
    """What the pool needs to know of a worker: its row of the board."""

    @property
    def row(self) -> int:
        """Index of the row."""
        ...


W = TypeVar("W", bound=HasRow)


class Pool(Generic[W]):
    """Spares, workers being started, and the rows of the board that nobody has.

    Args:
        start: starts a worker for a row; raises LaunchError.
        shortage: returns which limit leaves no room for another worker, or None.
        rows: how many rows the board has.
        spares_wanted: how many parked workers there should be when nothing else is to be done.
        starting_limit: how many workers may be starting at once.

    Attributes:
        rows: see above.
        last_reason: why the newest failure happened.
        short: which limit left no room for the newest worker; None when there was room.
        started_total: how many workers were started.
    """

    def __init__(
        self,
        start: Callable[[int], W],
        shortage: Callable[[], str | None] = lambda: None,
        *,
        rows: int,
        spares_wanted: int,
        starting_limit: int,
    ) -> None:
        self._start = start
        self._shortage = shortage
        self.rows = rows
        self._free_rows = deque(range(rows))
        self._spares_wanted = spares_wanted
        self._starting_limit = starting_limit
        self._starting: set[W] = set()
        self._spares: deque[W] = deque()
        self._failures: deque[int] = deque(maxlen=REFUSING_FAILURES + 8)
        self.last_reason = ""
        self.short: str | None = None
        self._short_until_ns = 0
        self._rests_until_ns = 0
        self.started_total = 0

    @property
    def spares(self) -> tuple[W, ...]:
        """The parked workers, longest parked first."""
        return tuple(self._spares)

    @property
    def starting(self) -> frozenset[W]:
        """The workers that have not reported yet."""
        return frozenset(self._starting)

    @property
    def free_rows(self) -> int:
        """How many rows nobody has."""
        return len(self._free_rows)

    def room(self) -> int:
        """Return how many workers can be had without anybody giving one back."""
        return len(self._free_rows) + len(self._starting) + len(self._spares)

    def take(self) -> W | None:
        """Return the longest parked spare, now the caller's, or None."""
        return self._spares.popleft() if self._spares else None

    def ready(self, worker: W) -> None:
        """Note that a worker has reported and is parked."""
        self._starting.remove(worker)
        self._spares.append(worker)

    def park(self, worker: W) -> bool:
        """Take back a worker that is as good as new; False when there are enough, so that it has to exit."""
        if len(self._spares) >= 2 * self._spares_wanted:
            return False
        # Used again first, so that the others stay untouched.
        self._spares.appendleft(worker)
        return True

    def lost(self, worker: HasRow, reason: str, now_ns: int) -> bool:
        """Note that a worker is gone; its row is free again.

        Returns:
            Whether it was the pool's, which counts as a failure, and not a worker taken before.
        """
        ours = worker in self._starting or worker in self._spares
        if ours:
            self._starting.discard(worker)
            self._spares = deque(spare for spare in self._spares if spare is not worker)
            self._failed(reason, now_ns)
        self.give_back(worker.row)
        return ours

    def take_row(self) -> int:
        """Return a free row, now the caller's; there must be one."""
        return self._free_rows.popleft()

    def give_back(self, row: int) -> None:
        """Free a row that has been cleared."""
        self._free_rows.append(row)

    def due_ns(self, now_ns: int, *, waiting: int, busy: bool) -> int | None:
        """Return when the next worker is to be started; None when none is missing or none may be.

        Args:
            now_ns: monotonic time.
            waiting: how many workers bodies are waiting for.
            busy: whether a body is being launched; spares are refilled when that is over, not meanwhile. As long as
                half of them are there, its first events are to be out as well.
        """
        if busy:
            self._rests_until_ns = now_ns + _REST_NS
        wanted = waiting if busy else waiting + self._spares_wanted
        missing = wanted - len(self._spares) - len(self._starting)
        if missing <= 0 or len(self._starting) >= self._starting_limit or not self._free_rows:
            return None
        if waiting:
            return max(now_ns, self._retry_ns(now_ns))
        rests_until_ns = self._rests_until_ns if 2 * len(self._spares) >= self._spares_wanted else 0
        return max(now_ns, self._retry_ns(now_ns), self._short_until_ns, rests_until_ns)

    def start_one(self, now_ns: int) -> W | None:
        """Start a worker, to be called when one is due.

        Returns:
            None when it could not be started: a limit leaves no room (`short`), or else it is a failure.
        """
        self.short = self._shortage()
        if self.short is not None:
            self._short_until_ns = now_ns + _SHORT_NS
            return None
        row = self._free_rows.popleft()
        try:
            worker = self._start(row)
        except LaunchError as exc:
            self._free_rows.appendleft(row)
            self._failed(str(exc), now_ns)
            return None
        self._starting.add(worker)
        self.started_total += 1
        return worker

    def refusal(self, now_ns: int) -> str | None:
        """Return why no worker can be had for the time being, or None; a new try is always made when it is due."""
        failing = len(self._failures) >= REFUSING_FAILURES and not self._starting and not self._spares
        return self.last_reason if failing and now_ns < self._retry_ns(now_ns) else None

    def _retry_ns(self, now_ns: int) -> int:
        while self._failures and self._failures[0] <= now_ns - _WINDOW_NS:
            self._failures.popleft()
        excess = len(self._failures) - TOLERATED_FAILURES
        if excess <= 0:
            return now_ns
        return self._failures[-1] + min(_BACKOFF_NS << excess, _MAX_BACKOFF_NS)

    def _failed(self, reason: str, now_ns: int) -> None:
        self._failures.append(now_ns)
        self.last_reason = reason
