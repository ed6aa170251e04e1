"""What became of events: counted on the board, said in the log.

Source: docs/sinks.md, "What is guaranteed".
"""

import logging
from typing import Final

from common.board import Counters
from common.clock import Clock
from common.errors import SinkError
from worker.control.waiting import Waiter

_LOG_INTERVAL_NS: Final = 60_000_000_000


class Outcomes:
    """Counts the outcomes of one scenario; what happens again and again is logged at most once a minute.

    Args:
        name: the entry's name, for log lines.
        counters: counted into; publishing them is the caller's.
        waiter: for log lines.
        clock: wall clock of deliveries, monotonic clock of log intervals.
    """

    def __init__(self, name: str, counters: Counters, waiter: Waiter, clock: Clock) -> None:
        self._name = name
        self._counters = counters
        self._waiter = waiter
        self._clock = clock
        self._failures = _Recurring()
        self._refusals = _Recurring()
        self._failed_closings = _Recurring()

    def accept(self, events: int, payload_bytes: int) -> None:
        """Count events that were written, be they delivered or waiting in a buffer."""
        self._counters.total_events += events
        self._counters.bytes_emitted += payload_bytes

    def deliver(self) -> None:
        """Count a delivery: the destination has something that it did not have before."""
        self._counters.consecutive_failures = 0
        self._counters.deliveries += 1
        self._counters.last_successful_write_at = self._clock.wall_ns()

    def fail(self, events: int, error: SinkError) -> None:
        """Count events that were lost in one delivery."""
        counters = self._counters
        counters.failed_deliveries += 1
        counters.errors += events
        counters.total_sink_failures += events
        counters.consecutive_failures += events
        counters.last_sink_error = str(error)
        self._failures.count(events)

    def fail_closing(self, error: SinkError) -> None:
        """Count and log that the last samples of a gated entry were not written; no tick has failed with them."""
        counters = self._counters
        counters.failed_deliveries += 1
        counters.errors += 1
        counters.total_sink_failures += 1
        counters.last_sink_error = str(error)
        self._failed_closings.count(1)
        times = self._failed_closings.take(self._clock.monotonic_ns())
        if times:
            self._waiter.log(
                logging.WARNING,
                f"sonda: scenario '{self._name}': {times} close emissions failed in last 60s (last: {error})",
            )

    def log_failure(self, error: SinkError) -> None:
        """Say that sink errors happen."""
        errors = self._failures.take(self._clock.monotonic_ns())
        if errors:
            self._waiter.log(
                logging.WARNING, f"sonda: scenario '{self._name}': {errors} sink errors in last 60s (last: {error})"
            )

    def log_failed_flush(self, error: SinkError) -> None:
        """Say that what was buffered at the end is lost."""
        self._waiter.log(logging.WARNING, f"sonda: scenario '{self._name}': flush failed at shutdown: {error}")

    def refuse(self, note: str) -> None:
        """Log that the destination rejected a batch for good. This is no sink error, and nothing was delivered."""
        self._counters.failed_deliveries += 1
        self._refusals.count(1)
        batches = self._refusals.take(self._clock.monotonic_ns())
        if batches:
            self._waiter.log(logging.WARNING, note if batches == 1 else f"{note} ({batches} batches in last 60s)")


class _Recurring:
    """How often something happened since it was last logged."""

    def __init__(self) -> None:
        self._count = 0
        self._logged_ns: int | None = None

    def count(self, times: int) -> None:
        self._count += times

    def take(self, now_ns: int) -> int:
        """Return the count when it is time for another line, else 0."""
        if self._logged_ns is not None and now_ns - self._logged_ns < _LOG_INTERVAL_NS:
            return 0
        self._logged_ns = now_ns
        count, self._count = self._count, 0
        return count
