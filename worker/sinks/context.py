"""What a sink gets from the worker it runs in."""

from dataclasses import dataclass

from common.clock import Clock
from common.plan import EntryPlan
from worker.control.waiting import Waiter


@dataclass(frozen=True, slots=True)
class SinkContext:
    """Shared by all kinds of sinks.

    Attributes:
        waiter: all waiting.
        clock: the wall clock.
        lock_descriptor: a file that all workers have open; a record lock on it serializes their writes to stdout.
        plan: the entry whose events it gets.
    """

    waiter: Waiter
    clock: Clock
    lock_descriptor: int
    plan: EntryPlan
