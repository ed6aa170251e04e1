"""The policy around one sink: what counts as delivered, what is tried again, what is logged, what ends the scenario.

::

    Encoded ──► sink.write ──► delivered: total_events, bytes_emitted, last_successful_write_at
                   │ SinkError
                   ├─ retriable, attempts left ──► pause ──► the rest again
                   └─ otherwise ──► errors, total_sink_failures, consecutive_failures, last_sink_error

A batch has the outcome that its events would have had one by one. Source: sinks contract, sections 6 and 11;
scheduling contract, sections 14 and 16.
"""

import logging
from typing import Final

import numpy as np

from common.board import Counters
from common.clock import Clock
from common.errors import SinkError
from common.plan import EntryPlan
from worker.backoff import Backoff
from worker.batch import Encoded
from worker.sinks import Sink
from worker.waiting import Waiter

_LOG_INTERVAL_NS: Final = 60_000_000_000
_STOPPING_BACKOFF_SECS: Final = 0.1
"""Longest backoff once the scenario is stopping: what is left of the time is for attempts."""


class Delivery:
    """Hands batches to a sink and counts.

    Args:
        plan: the entry; its sink's `retry` block and its `on_sink_error` decide.
        sink: the destination, not open yet.
        counters: counted into; publishing them is the caller's.
        waiter: for backoff and log lines.
        clock: wall clock of deliveries, monotonic clock of log intervals.

    Attributes:
        fatal: the failure that ends the scenario, once there is one.
    """

    def __init__(self, plan: EntryPlan, sink: Sink, counters: Counters, waiter: Waiter, clock: Clock) -> None:
        retry = getattr(plan.sink, "retry", None)
        self.fatal: SinkError | None = None
        self._name = plan.name
        self._backoff = None if retry is None else Backoff(retry)
        self._fails = plan.on_sink_error == "fail"
        self._sink = sink
        self._counters = counters
        self._waiter = waiter
        self._clock = clock
        self._unlogged_failures = 0
        self._logged_ns: int | None = None

    def open(self) -> None:
        """Open the sink.

        Raises:
            SinkOpenError: it cannot be opened; it is counted.
        """
        try:
            self._sink.open()
        except SinkError as exc:
            self._count_failures(1, exc)
            raise

    def deliver(self, encoded: Encoded) -> list[tuple[int, int]]:
        """Deliver a batch; return which of its events were delivered, as ranges [start, stop).

        What could not be delivered is counted. After the first failure under `on_sink_error: fail`, `fatal` is set and
        the rest is not tried.
        """
        delivered: list[tuple[int, int]] = []
        rest, start, attempt = encoded, 0, 0
        while rest.events:
            try:
                self._sink.write(rest)
            except SinkError as exc:
                if exc.delivered_bytes:
                    done = int(np.searchsorted(rest.ends(), exc.delivered_bytes, side="right"))
                    self._count_delivered(done, exc.delivered_bytes)
                    delivered.append((start, start + done))
                    rest, start, attempt = _behind(rest, done), start + done, 0
                if self._tries_again(exc, attempt):
                    attempt += 1
                    continue
                lost = 1 if exc.one_event or self._fails else rest.events
                self._count_failures(lost, exc)
                if self._fails:
                    self.fatal = exc
                    return delivered
                self._log_failures(exc)
                rest, start, attempt = _behind(rest, lost), start + lost, 0
            else:
                self._count_delivered(rest.events, len(rest.payload))
                delivered.append((start, start + rest.events))
                break
        return delivered

    def finish(self) -> None:
        """Flush and close at a regular end; a failure is counted, logged, and `fatal` under `on_sink_error: fail`."""
        try:
            self._sink.flush()
        except SinkError as exc:
            self._count_failures(1, exc)
            self._waiter.log(logging.WARNING, f"sonda: scenario '{self._name}': flush failed at shutdown: {exc}")
            if self._fails:
                self.fatal = exc
        self._sink.close()

    def abandon(self) -> None:
        """Close without a flush, after a failure that ends the scenario."""
        self._sink.close()

    def _tries_again(self, exc: SinkError, attempt: int) -> bool:
        """Wait out the backoff when another attempt is due; log what happens."""
        if self._backoff is None or not exc.retriable or self._waiter.given_up:
            return False
        attempts = self._backoff.max_attempts
        if attempt == attempts:
            self._waiter.log(
                logging.WARNING, f"sonda: all {attempts} retries exhausted (last error: sink error: {exc})"
            )
            return False
        secs = self._backoff.draw_secs(attempt)
        if self._waiter.stopping:
            secs = min(secs, _STOPPING_BACKOFF_SECS)
        self._waiter.log(
            logging.WARNING,
            f"sonda: retry {attempt + 1}/{attempts} after {int(secs * 1000)}ms (error: sink error: {exc})",
        )
        self._waiter.pause(secs)
        return True

    def _count_delivered(self, events: int, payload_bytes: int) -> None:
        counters = self._counters
        counters.total_events += events
        counters.bytes_emitted += payload_bytes
        counters.consecutive_failures = 0
        counters.last_successful_write_at = self._clock.wall_ns()

    def _count_failures(self, events: int, exc: SinkError) -> None:
        counters = self._counters
        counters.errors += events
        counters.total_sink_failures += events
        counters.consecutive_failures += events
        counters.last_sink_error = str(exc)
        self._unlogged_failures += events

    def _log_failures(self, exc: SinkError) -> None:
        now_ns = self._clock.monotonic_ns()
        if self._logged_ns is not None and now_ns - self._logged_ns < _LOG_INTERVAL_NS:
            return
        self._waiter.log(
            logging.WARNING,
            f"sonda: scenario '{self._name}': {self._unlogged_failures} sink errors in last 60s (last: {exc})",
        )
        self._logged_ns = now_ns
        self._unlogged_failures = 0


def _behind(encoded: Encoded, events: int) -> Encoded:
    """Return `encoded` less its first `events`, of which there is at least one."""
    if events == encoded.events:
        return Encoded(payload=b"", events=0)
    return Encoded(payload=encoded.payload[encoded.ends()[events - 1] :], events=encoded.events - events)
