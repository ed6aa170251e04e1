"""The policy around a sink that sends requests: buffer, flush, retry, count.

::

    Encoded ──► BatchBuffer ──due──► sink.request ──► sink.send ──► delivered, or refused for good
                    │                                    │ SinkError
              accepted, waiting                          ├─ retriable, attempts left ──► pause ──► the same request
                                                         └─ otherwise ──► one failure; the request is gone

An event that is only buffered counts as an event at once. The event whose record makes the buffer due has the outcome
of the request. Source: docs/sinks.md, "When a request is sent", "Trying again" and "What is guaranteed".
"""

from collections.abc import Callable, Iterable, Sequence

from common.clock import Clock
from common.errors import SinkError
from worker.delivery.outcomes import Outcomes
from worker.delivery.retrying import Retrying
from worker.sinks import RequestSink
from worker.sinks.batching import BatchBuffer, Piece
from worker.ticks.batch import Batch, Encoded


class BatchedDelivery:
    """Buffers batches and sends them as requests.

    Args:
        sink: the destination, not open yet.
        retrying: the sink's `retry` block.
        outcomes: where all is counted.
        clock: for ages of the buffer, and the instants of writing.
        progressed: called after every request, however it ended, so that its outcome can be shown at once.
        fails: whether the first failure ends the scenario (`on_sink_error: fail`).

    Attributes:
        fatal: the failure that ends the scenario, once there is one.
    """

    def __init__(
        self,
        sink: RequestSink,
        retrying: Retrying,
        outcomes: Outcomes,
        clock: Clock,
        progressed: Callable[[], None],
        *,
        fails: bool,
    ) -> None:
        self.fatal: SinkError | None = None
        self._sink = sink
        self._retrying = retrying
        self._outcomes = outcomes
        self._clock = clock
        self._progressed = progressed
        self._fails = fails
        self._sending = 0
        self._sent_tick = -1
        self._buffer = BatchBuffer(sink.batching, clock.monotonic_ns())

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
        counted: list[tuple[int, int]] = []
        start = record = 0
        while start < encoded.events and self.fatal is None:
            record = self._buffer.add(batch, encoded, record, self._clock.monotonic_ns(), self._clock.wall_ns())
            due = self._buffer.is_due
            error = self._flush() if due else None
            stop = (record if error is None else record - 1) // per_event
            if stop > start:
                begin, end = (self._buffer.offset(encoded, event * per_event) for event in (start, stop))
                self._outcomes.accept(stop - start, end - begin)
                counted.append((start, stop))
            if error is not None:
                if self._fails:
                    self.fatal = error
                else:
                    self._outcomes.log_failure(error)
                stop += 1
                record = stop * per_event
            if due:
                self._progressed()
            start = stop
        return counted

    def deliver_now(self, batch: Batch, encoded: Encoded) -> None:
        """Send a batch that is not part of a run as a request of its own."""
        records = encoded.events * encoded.records_per_event
        written_ns = int(batch.stamps_ns[0])
        per_event = encoded.records_per_event
        piece = Piece(batch, 0, records, encoded.payload, encoded.known_ends, written_ns, per_event)
        self._post([piece])

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
            self._outcomes.fail_closing(exc, lost=self._sending)
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
        self._sink.close()

    def _flush(self) -> SinkError | None:
        """Send the buffer; return the failure that it ended with, counted."""
        try:
            self._send()
        except SinkError as exc:
            self._outcomes.fail(1, exc, lost=self._sending)
            return exc
        return None

    def _send(self) -> None:
        """Send the buffer.

        Raises:
            SinkError: the failure that it ended with.
        """
        self._post(self._buffer.take(self._clock.monotonic_ns()))

    def _post(self, pieces: Sequence[Piece]) -> None:
        """Send pieces as one request, again and again if need be.

        Raises:
            SinkError: the failure that it ended with.
        """
        self._sending = self._count_events(pieces)
        request = self._sink.request(pieces)
        rejection = self._retrying.attempt(lambda: self._sink.send(request))
        if rejection is None or rejection.records is not None:
            self._outcomes.deliver()
        if rejection is not None:
            self._outcomes.reject(rejection, self._sending)

    def _count_events(self, pieces: Sequence[Piece]) -> int:
        """Return how many events have records in `pieces`; one that has some in the request before counts there."""
        events = 0
        for piece in pieces:
            first, last = piece.first_tick, piece.last_tick
            events += last - first + (first != self._sent_tick)
            self._sent_tick = last
        return events
