"""What a run shows of itself in its row of the board.

PERF: a wake-up finds cold caches and costs what it touches. So what wake-ups close together have to count and to show
is counted and shown by the last of them. Where the run is, is kept after each: `position.py`.
"""

from collections.abc import Sequence
from typing import Final

from common.board import WorkerBoard
from common.counters import Counters
from common.lateness import Lateness
from common.plan import EntryPlan
from worker.control.waiting import Waiter
from worker.gates.watchers import Watchers
from worker.newest import NewestSamples
from worker.ticks.block import DueEvents
from worker.ticks.rate import RateWindow

_CPU_INTERVAL_NS: Final = 100_000_000
"""How often the processor time is asked for, which takes a call into the kernel."""


class Showing:
    """The way of one run's counters, samples and lateness to its row.

    Args:
        plan: the entry.
        board: where its row is.
        counters: what is counted.
        waiter: knows the processor time.
        watchers: who watches its values; None for one that nobody can watch.
        held_ns: how late what was fired may be shown, and counted where it was encoded ahead.

    Attributes:
        has_news: whether something that was fired is not shown yet.
        holds_back: whether it may be shown late.
        due_ns: until when nothing has to be shown (monotonic).
        rate: how many events a second count.
    """

    def __init__(
        self,
        plan: EntryPlan,
        board: WorkerBoard,
        counters: Counters,
        waiter: Waiter,
        watchers: Watchers | None,
        held_ns: int,
    ) -> None:
        self.has_news = False
        self.holds_back = held_ns > 0
        self.due_ns = 0
        self.rate = RateWindow()
        self._watchers = watchers
        self._fired: list[tuple[DueEvents, Sequence[tuple[int, int]], int | None, int]] = []
        self._newest = NewestSamples(plan, board.row)
        self._lateness = Lateness(board.row.view)
        self._late: list[tuple[int, int, int]] = []
        self._row = board.row
        self._counters = counters
        self._waiter = waiter
        self._held_ns = held_ns
        self._cpu_before_ns = counters.cpu_ns
        self._cpu_due_ns = 0

    def fired(self, events: DueEvents, delivered: Sequence[tuple[int, int]], late_ns: int | None, now_ns: int) -> None:
        """Take what was fired.

        Args:
            events: all of them.
            delivered: which of them count, as ranges [start, stop).
            late_ns: how far they were behind their instant; None where something is made up for.
            now_ns: when it was (monotonic).
        """
        self.has_news = True
        self._fired.append((events, delivered, late_ns, now_ns))
        if events.block is None or not self.holds_back or self._counters.in_gap:
            self.count()

    def count(self) -> None:
        """Count what was fired."""
        if not self._fired:
            return
        counters, rate = self._counters, self.rate
        for events, delivered, late_ns, now_ns in self._fired:
            if late_ns is not None:
                self._late.append((late_ns, events.encoded.events, now_ns))
            count = 0
            for first, stop in delivered:
                count += stop - first
                self._newest.put(events, first, stop)
            rate.count(count, now_ns)
        events, _, late_ns, now_ns = self._fired[-1]
        counters.batches += len(self._fired)
        if late_ns is not None:
            counters.backlog_ns = 0
        counters.current_rate = rate.events_per_sec
        counters.in_gap = False
        counters.in_burst = events.in_burst
        if self._watchers is not None and events.block is not None:
            self._watchers.publish(events.batch.values.item(-1), now_ns)
        self._fired.clear()

    def enter_gap(self) -> None:
        """Count what was fired, and say that a silence has begun."""
        self.count()
        self._counters.in_gap, self._counters.in_burst = True, False

    def write_samples(self) -> None:
        """Show the samples that were held back."""
        self.count()
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
        self.count()
        counters = self._counters
        counters.heartbeat_ns = now_ns
        self.due_ns = now_ns + self._held_ns
        self.has_news = False
        for late in self._late:
            self._lateness.count(*late)
        self._late.clear()
        if asks_cpu or now_ns >= self._cpu_due_ns:
            counters.cpu_ns = self._cpu_before_ns + self._waiter.cpu_ns()
            self._cpu_due_ns = now_ns + _CPU_INTERVAL_NS
        self._row.publish(counters)
