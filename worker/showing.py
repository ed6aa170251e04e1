"""What a run shows of itself in its row of the board.

PERF: a wake-up finds cold caches and costs what it touches, of which the row is a third. So what wake-ups close
together have to show is shown by the last of them. Where the run is, is kept after each: `position.py`.
"""

from collections.abc import Sequence
from typing import Final

from common.board import WorkerBoard
from common.counters import Counters
from common.lateness import Lateness
from common.plan import EntryPlan
from worker.control.waiting import Waiter
from worker.newest import NewestSamples
from worker.ticks.block import DueEvents

_CPU_INTERVAL_NS: Final = 100_000_000
"""How often the processor time is asked for, which takes a call into the kernel."""


class Showing:
    """The way of one run's counters, samples and lateness to its row.

    Args:
        plan: the entry.
        board: where its row is.
        counters: what is counted.
        waiter: knows the processor time.
        held_ns: how late what was fired may be shown.

    Attributes:
        has_news: whether something that was fired is not shown yet.
        holds_back: whether it may be shown late.
    """

    def __init__(
        self,
        plan: EntryPlan,
        board: WorkerBoard,
        counters: Counters,
        waiter: Waiter,
        held_ns: int,
    ) -> None:
        self.has_news = False
        self.holds_back = held_ns > 0
        self._newest = NewestSamples(plan, board.row)
        self._lateness = Lateness(board.row.view)
        self._late: list[tuple[int, int, int]] = []
        self._row = board.row
        self._counters = counters
        self._waiter = waiter
        self._held_ns = held_ns
        self._cpu_before_ns = counters.cpu_ns
        self._cpu_due_ns = 0

    def fired(self, events: DueEvents, delivered: Sequence[tuple[int, int]], late_ns: int | None, now_ns: int) -> int:
        """Take what was fired at `now_ns` (monotonic); return how many events count.

        Args:
            events: all of them.
            delivered: which of them count, as ranges [start, stop).
            late_ns: how far they were behind their instant; None where that is not to be told.
            now_ns: when it was.
        """
        self.has_news = True
        if late_ns is not None:
            self._late.append((late_ns, events.encoded.events, now_ns))
        count = 0
        for first, stop in delivered:
            count += stop - first
            self._newest.put(events, first, stop)
        return count

    def is_overdue_at(self, at_ns: int) -> bool:
        """Return whether what was fired may not wait until an instant (monotonic)."""
        return at_ns - self._counters.heartbeat_ns >= self._held_ns

    def write_samples(self) -> None:
        """Show the samples that were held back."""
        self._newest.write()

    def forget_samples(self) -> None:
        """Show no value until the next one of each series."""
        self._newest.forget()

    def publish(self, now_ns: int, *, asks_cpu: bool = False) -> None:
        """Show everything but samples, at `now_ns` (monotonic).

        Args:
            now_ns: now.
            asks_cpu: whether the processor time is asked for, too, however long ago it was.
        """
        counters = self._counters
        counters.heartbeat_ns = now_ns
        self.has_news = False
        for late in self._late:
            self._lateness.count(*late)
        self._late.clear()
        if asks_cpu or now_ns >= self._cpu_due_ns:
            counters.cpu_ns = self._cpu_before_ns + self._waiter.cpu_ns()
            self._cpu_due_ns = now_ns + _CPU_INTERVAL_NS
        self._row.publish(counters)
