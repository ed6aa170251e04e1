"""The policy around a sink that takes every batch at once: what is tried again, what ends the scenario.

::

    Encoded ──► sink.write ──► accepted and delivered
                   │ SinkError
                   ├─ retriable, attempts left ──► pause ──► the rest again
                   └─ otherwise ──► failed

A batch has the outcome that its events would have had one by one. `batched.py` is the same for sinks that send
requests. Source: docs/sinks.md, "Trying again" and "What is guaranteed"; docs/http.md, "Stats".
"""

from collections.abc import Iterable

import numpy as np

from common.errors import SinkError
from common.plan import EntryPlan
from worker.delivery.outcomes import Outcomes
from worker.delivery.retrying import Retrying
from worker.sinks import Sink
from worker.ticks.batch import Batch, Encoded


class DirectDelivery:
    """Hands batches to a sink.

    Args:
        sink: the destination, not open yet.
        retrying: the sink's `retry` block.
        outcomes: where all is counted.
        fails: whether the first failure ends the scenario (`on_sink_error: fail`).

    Attributes:
        fatal: the failure that ends the scenario, once there is one.
        next_tick: the number of the first tick that was neither written nor given up.
        waiting_events: none ever waits.
        counted: which events of the newest batch were delivered so far, as ranges [start, stop).
    """

    waiting_events = 0

    def __init__(self, sink: Sink, retrying: Retrying, outcomes: Outcomes, *, fails: bool) -> None:
        self.fatal: SinkError | None = None
        self.next_tick = 0
        self.counted: list[tuple[int, int]] = []
        self._sink = sink
        self._retrying = retrying
        self._outcomes = outcomes
        self._fails = fails

    def open(self) -> None:
        """Open the sink."""
        try:
            self._sink.open()
        except SinkError as exc:
            self._outcomes.fail(1, exc, lost=0)
            raise

    def deliver(self, batch: Batch, encoded: Encoded) -> list[tuple[int, int]]:
        """Deliver a batch; return which of its events were delivered, as ranges [start, stop)."""
        return self.deliver_from(batch.first_tick, encoded)

    def deliver_from(self, first_tick: int, encoded: Encoded) -> list[tuple[int, int]]:
        """Deliver the events of consecutive ticks, as `deliver`."""
        self.next_tick = first_tick + encoded.events
        delivered = self.counted = []
        rest, start, attempt = encoded, 0, 0
        while rest.events:
            try:
                self._sink.write(rest)
            except SinkError as exc:
                if exc.delivered_bytes:
                    done = int(np.searchsorted(rest.ends(), exc.delivered_bytes, side="right"))
                    self._outcomes.take(done, exc.delivered_bytes)
                    delivered.append((start, start + done))
                    rest, start, attempt = rest.behind(done), start + done, 0
                if self._retrying.tries_again(exc, attempt):
                    attempt += 1
                    continue
                lost = 1 if exc.one_event or self._fails else rest.events
                self._outcomes.fail(lost, exc, lost=lost)
                if self._fails:
                    self.fatal = exc
                    return delivered
                self._outcomes.log_failure(exc)
                rest, start, attempt = rest.behind(lost), start + lost, 0
            else:
                self._outcomes.take(rest.events, len(rest.payload))
                delivered.append((start, start + rest.events))
                break
        return delivered

    def deliver_now(self, _batch: Batch, encoded: Encoded) -> None:
        """Write a batch that is not part of a run."""
        self._write_all(encoded)

    def settle(self) -> None:
        """Do nothing: every answer was waited for."""

    def flush(self) -> None:
        """Do nothing: nothing waits."""

    def relabel(self, plan: EntryPlan) -> None:
        """Do nothing: labels are in the events."""

    def close_series(self, batches: Iterable[tuple[Batch, Encoded]]) -> None:
        """Write last samples; the first failure ends that."""
        try:
            for _, encoded in batches:
                self._write_all(encoded)
        except SinkError as exc:
            self._outcomes.fail_closing(exc, lost=0)
            if self._fails:
                self.fatal = exc
        else:
            self._outcomes.deliver(0)

    def finish(self) -> None:
        """Close: a sink keeps nothing back."""
        self._sink.close()

    def abandon(self) -> None:
        """Close, after a failure that ends the scenario."""
        self._sink.close()

    def _write_all(self, encoded: Encoded) -> None:
        rest, attempt = encoded, 0
        while rest.events:
            try:
                self._sink.write(rest)
            except SinkError as exc:
                if exc.delivered_bytes:
                    self._outcomes.write(exc.delivered_bytes)
                    rest = rest.behind(int(np.searchsorted(rest.ends(), exc.delivered_bytes, side="right")))
                    attempt = 0
                if not self._retrying.tries_again(exc, attempt):
                    raise
                attempt += 1
            else:
                self._outcomes.write(len(rest.payload))
                return
