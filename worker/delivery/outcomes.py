"""What became of events: counted on the board, said in the log.

Source: docs/sinks.md, "What is guaranteed".
"""

import logging
from typing import Final

from common.clock import Clock
from common.counters import Counters
from common.errors import SinkError
from common.plan import EntryPlan
from common.specs import kind_of
from worker.control.waiting import Waiter
from worker.sinks.batching import Rejection

_LOG_INTERVAL_NS: Final = 60_000_000_000


class Outcomes:
    """Counts the outcomes of one scenario; what happens again and again is logged at most once a minute.

    Args:
        plan: the entry, whose name and kind of sink stand in log lines.
        counters: counted into; publishing them is the caller's.
        waiter: for log lines.
        clock: wall clock of deliveries, monotonic clock of log intervals.
    """

    def __init__(self, plan: EntryPlan, counters: Counters, waiter: Waiter, clock: Clock) -> None:
        self._name = plan.name
        self._sink_kind = kind_of(plan.sink)
        self._counters = counters
        self._waiter = waiter
        self._clock = clock
        self._failures = _Recurring()
        self._rejections = _Recurring()
        self._failed_closings = _Recurring()

    def accept(self, events: int, payload_bytes: int) -> None:
        """Count events that were written, be they delivered or waiting in a buffer."""
        self._counters.total_events += events
        self._counters.bytes_emitted += payload_bytes

    def write(self, payload_bytes: int) -> None:
        """Count what a sink that writes at once has taken, last samples included."""
        self._counters.written_bytes += payload_bytes

    def take(self, events: int, payload_bytes: int) -> None:
        """Count events that a sink that writes at once has taken: `accept`, `write` and `deliver` in one.

        PERF: a wake-up finds cold caches, and every call costs.
        """
        counters = self._counters
        counters.total_events += events
        counters.acknowledged_events += events
        counters.bytes_emitted += payload_bytes
        counters.written_bytes += payload_bytes
        counters.consecutive_failures = 0
        counters.deliveries += 1
        counters.last_successful_write_at = self._clock.wall_ns()

    def deliver(self, events: int) -> None:
        """Count a delivery: the destination has something that it did not have before.

        Args:
            events: how many of the scenario's own.
        """
        counters = self._counters
        counters.acknowledged_events += events
        counters.consecutive_failures = 0
        counters.deliveries += 1
        counters.last_successful_write_at = self._clock.wall_ns()

    def fail(self, events: int, error: SinkError, *, lost: int) -> None:
        """Count a delivery that failed.

        Args:
            events: how many count as failed.
            error: how it ended.
            lost: how many were in it, and are nowhere now; those that counted when they were buffered too.
        """
        counters = self._counters
        self._lose(error, lost)
        counters.errors += events
        counters.total_sink_failures += events
        counters.consecutive_failures += events
        counters.last_sink_error = str(error)
        self._failures.count(events)

    def doubt(self, events: int) -> None:
        """Count events that were delivered as far as anybody here can see, and may not have arrived."""
        self._counters.in_doubt_events += events

    def lose(self, events: int) -> None:
        """Count events that are left behind by a failure that ends the scenario."""
        self._counters.lost_events += events

    def fail_closing(self, error: SinkError, *, lost: int) -> None:
        """Count and log that the last samples of a gated entry were not written; no tick has failed with them.

        Args:
            error: how it ended.
            lost: how many events waited with them.
        """
        counters = self._counters
        self._lose(error, lost)
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

    def settle(self, events: int, rejection: Rejection | None, *, in_doubt: bool) -> None:
        """Count what a destination that answers took of a batch, and what it refused for good.

        Args:
            events: how many were in the batch.
            rejection: what it refused; None when it took all.
            in_doubt: whether it may have that from an earlier attempt, whose answer did not come.
        """
        if rejection is None:
            self.deliver(events)
        elif rejection.records is None:
            self._counters.failed_deliveries += 1
            self._reject(rejection, events, in_doubt=in_doubt)
        else:
            refused = min(events, rejection.records)
            self.deliver(events - refused)
            self._reject(rejection, refused, in_doubt=in_doubt)

    def _reject(self, rejection: Rejection, events: int, *, in_doubt: bool) -> None:
        """Count and log a refusal: no sink error, and no delivery either."""
        counters = self._counters
        if in_doubt:
            counters.in_doubt_events += events
        counters.rejected_batches += 1
        counters.rejected_events += events
        counters.last_rejection = rejection.words
        self._rejections.count(1)
        batches = self._rejections.take(self._clock.monotonic_ns())
        if batches:
            if rejection.records is None:
                dropped = "discarding batch" if batches == 1 else f"{batches} batches discarded in last 60s"
                said = f"received {rejection.words}; {dropped}"
            else:
                said = rejection.words if batches == 1 else f"{rejection.words}; {batches} times in last 60s"
            self._waiter.log(logging.WARNING, f"sonda: scenario '{self._name}': {self._sink_kind} sink: {said}")

    def _lose(self, error: SinkError, events: int) -> None:
        counters = self._counters
        delivered = min(error.delivered_events, events)
        counters.failed_deliveries += 1
        counters.acknowledged_events += delivered
        counters.lost_events += events - delivered
        if error.in_doubt:
            counters.in_doubt_events += events - delivered


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
