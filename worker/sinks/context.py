"""What a sink gets from the worker it runs in."""

from collections.abc import Callable
from dataclasses import dataclass

from common.checkpoints import Resume
from common.clock import Clock
from common.plan import EntryPlan
from worker.control.lanes import Lanes
from worker.control.waiting import Waiter


@dataclass(frozen=True, slots=True)
class SinkContext:
    """Shared by all kinds of sinks.

    Attributes:
        waiter: all waiting.
        clock: the wall clock.
        lock_descriptor: a file that all workers have open; a record lock on it serializes their writes to stdout.
        plan: the entry whose events it gets.
        lanes: for several requests at a time; None where there is one.
        resume: how the run goes on that was interrupted; None for one that begins.
        doubt: counts events that were written, and that the destination may not have got.
    """

    waiter: Waiter
    clock: Clock
    lock_descriptor: int
    plan: EntryPlan
    lanes: Lanes | None = None
    resume: Resume | None = None
    doubt: Callable[[int], None] = lambda _events: None
