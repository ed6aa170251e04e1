"""The policy around a sink that sends requests: buffer, flush, retry, count.

::

    Encoded ──► BatchBuffer ──due──► sink.request ──► sink.send ──► delivered, or refused for good
                    │                                    │ SinkError
              accepted, waiting                          ├─ retriable, attempts left ──► pause ──► the same request
                                                         └─ otherwise ──► one failure; the request is gone

An event that is only buffered counts as an event at once. The event whose record makes the buffer due has the outcome
of the request. Source: docs/sinks.md, "When a request is sent", "Trying again" and "What is guaranteed".
"""

from collections.abc import Iterable

from common.errors import SinkError
from common.plan import EntryPlan
from worker.delivery.policy import RequestPolicy
from worker.delivery.requests import Requests
from worker.sinks import LabelledSink, RequestSink
from worker.sinks.batching import BatchBuffer, Piece
from worker.ticks.batch import Batch, Encoded


class BatchedDelivery:
    """Buffers batches and sends them as requests.

    Args:
        sink: the destination, not open yet.
        policy: what becomes of its requests.

    Attributes:
        fatal: the failure that ends the scenario, once there is one.
        waiting_events: how many events wait for a request.
        counted: which events of the newest batch count so far, as ranges [start, stop).
    """

    def __init__(self, sink: RequestSink, policy: RequestPolicy) -> None:
        self.fatal: SinkError | None = None
        self.waiting_events = 0
        self.counted: list[tuple[int, int]] = []
        self._sink = sink
        self._requests = Requests(sink, policy.retrying, policy.outcomes)
        self._outcomes = policy.outcomes
        self._clock = policy.clock
        self._progressed = policy.progressed
        self._fails = policy.fails
        self._buffer = BatchBuffer(sink.batching, policy.clock.monotonic_ns())

    @property
    def next_tick(self) -> int:
        """The number of the first tick that was neither sent nor given up."""
        return self._requests.next_tick

    def open(self) -> None:
        """Open the sink; ages of the buffer count from here."""
        try:
            self._sink.open()
        except SinkError as exc:
            self._outcomes.fail(1, exc, lost=0)
            raise
        self._buffer = BatchBuffer(self._sink.batching, self._clock.monotonic_ns())

    def deliver(self, batch: Batch, encoded: Encoded) -> list[tuple[int, int]]:
        """Buffer a batch, sending what becomes due; return which of its events count, as ranges [start, stop).

        An event of several records counts when all of them were written; the record that fails takes the rest of its
        event along. After the first failure under `on_sink_error: fail`, `fatal` is set and the rest is not tried.
        """
        per_event = encoded.records_per_event
        counted = self.counted = []
        start = record = begin = 0
        while start < encoded.events and self.fatal is None:
            record = self._buffer.add(batch, encoded, record, self._clock.monotonic_ns(), self._clock.wall_ns())
            due = self._buffer.is_due
            error = self._flush() if due else None
            stop = (record if error is None else record - 1) // per_event
            if stop > start:
                end = self._buffer.offset(encoded, stop * per_event)
                self._outcomes.accept(stop - start, end - begin)
                begin = end
                if counted and counted[-1][1] == start:
                    counted[-1] = (counted[-1][0], stop)
                else:
                    counted.append((start, stop))
            if error is not None:
                if self._fails:
                    self.fatal = error
                else:
                    self._outcomes.log_failure(error)
                stop += 1
                record = stop * per_event
                begin = self._buffer.offset(encoded, record)
            if due:
                self._progressed()
            else:
                self.waiting_events += stop - start
            start = stop
        return counted

    def deliver_now(self, batch: Batch, encoded: Encoded) -> None:
        """Send a batch that is not part of a run as a request of its own."""
        records = encoded.events * encoded.records_per_event
        written_ns = int(batch.stamps_ns[0])
        self._requests.send([Piece(batch, encoded, 0, records, encoded.payload, written_ns)])

    def settle(self) -> None:
        """Do nothing: every answer was waited for."""

    def flush(self) -> None:
        """Send what is buffered."""
        error = self._flush() if self._buffer else None
        if error is None:
            return
        if self._fails:
            self.fatal = error
        else:
            self._outcomes.log_failure(error)

    def relabel(self, plan: EntryPlan) -> None:
        """Let requests have the labels of `plan` from now on."""
        if isinstance(self._sink, LabelledSink):
            self._sink.relabel(plan)

    def close_series(self, batches: Iterable[tuple[Batch, Encoded]]) -> None:
        """Send last samples and whatever waits; the first failure ends that."""
        try:
            for batch, encoded in batches:
                record = 0
                while record < encoded.events * encoded.records_per_event:
                    record = self._buffer.add(batch, encoded, record, self._clock.monotonic_ns(), self._clock.wall_ns())
                    if self._buffer.is_due:
                        self._send()
            if self._buffer:
                self._send()
        except SinkError as exc:
            self._outcomes.fail_closing(exc, lost=self._requests.sending)
            if self._fails:
                self.fatal = exc

    def finish(self) -> None:
        """Send what is buffered and close."""
        error = self._flush() if self._buffer else None
        if error is not None:
            self._outcomes.log_failed_flush(error)
            if self._fails:
                self.fatal = error
        self._sink.close()

    def abandon(self) -> None:
        """Close and leave what is buffered, after a failure that ends the scenario."""
        self._outcomes.lose(self._requests.count(self._buffer.take(self._clock.monotonic_ns())))
        self._sink.close()

    def _flush(self) -> SinkError | None:
        """Send the buffer; return the failure that it ended with, counted."""
        try:
            self._send()
        except SinkError as exc:
            self._outcomes.fail(1, exc, lost=self._requests.sending)
            return exc.without_frames()
        return None

    def _send(self) -> None:
        """Send the buffer; it is empty afterwards, whatever came of it.

        Raises:
            SinkError: the failure that it ended with.
        """
        self.waiting_events = 0
        self._requests.send(self._buffer.take(self._clock.monotonic_ns()))
