"""The policy around a sink that may have several requests in flight: as `batched.py`, but answers are waited for later.

::

    Encoded ──► BatchBuffer ──due──► sink.begin ──► in flight, oldest first ──► sink.end ──► delivered, or one failure
                                                     │
                          waited for when there are too many, and before the run waits for its next tick

So a run that keeps up has the answer to each request before it goes on, and one that is behind does not wait for
answers one by one. The event that completes a request is counted with its outcome, a little later than the others. What
was sent behind a request that is tried again may arrive before it.

Source: docs/sinks.md, "Kafka" and "What is guaranteed".
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

from common.errors import SinkError
from worker.delivery.batched import BatchedDelivery
from worker.delivery.policy import RequestPolicy
from worker.sinks import PipelinedSink
from worker.sinks.batching import Rejection
from worker.ticks.batch import Batch, Encoded


class _Request:
    """One request, and the event that completed it.

    Attributes:
        flight: what the sink knows it by while it is in flight; None between two attempts.
        first_tick: of the first event that has something in it.
        events: how many it holds.
        last_bytes: of the event that completed it.
    """

    __slots__ = ("events", "first_tick", "flight", "last_bytes", "request")

    def __init__(self, request: Any, flight: Any, first_tick: int, events: int, last_bytes: int) -> None:
        self.request = request
        self.flight = flight
        self.first_tick = first_tick
        self.events = events
        self.last_bytes = last_bytes


class PipelinedDelivery(BatchedDelivery):
    """Buffers batches and sends them as requests, several at a time.

    Args:
        sink: the destination, not open yet.
        policy: what becomes of its requests.
    """

    def __init__(self, sink: PipelinedSink, policy: RequestPolicy) -> None:
        super().__init__(sink, policy)
        self._pipeline = sink
        self._retrying = policy.retrying
        self._in_flight: deque[_Request] = deque()
        self._taken_tick = 0

    @property
    def next_tick(self) -> int:
        """The number of the first tick that was neither answered nor given up."""
        if self._in_flight:
            return self._in_flight[0].first_tick
        waiting = self._buffer.first_tick
        return self._taken_tick if waiting is None else waiting

    def deliver(self, batch: Batch, encoded: Encoded) -> list[tuple[int, int]]:
        """Buffer a batch, sending what becomes due; return which of its events were taken, as ranges [start, stop)."""
        per_event, buffer = encoded.records_per_event, self._buffer
        self.counted = []
        start = begin = 0
        while start < encoded.events and self.fatal is None:
            stop = buffer.add(batch, encoded, start * per_event, self._clock.monotonic_ns(), self._clock.wall_ns())
            stop //= per_event
            self._taken_tick = batch.first_tick + stop
            self.counted = [(0, stop)]
            end = buffer.offset(encoded, stop * per_event)
            if buffer.is_due:
                last = buffer.offset(encoded, (stop - 1) * per_event)
                self._outcomes.accept(stop - 1 - start, last - begin)
                self._begin(end - last)
                self._settle_down_to(self._pipeline.max_in_flight - 1)
            else:
                self._outcomes.accept(stop - start, end - begin)
            start, begin = stop, end
        self._count_waiting()
        return self.counted

    def settle(self) -> None:
        """Wait for the answers to everything in flight; the first failure under `on_sink_error: fail` ends that."""
        self._settle_down_to(0)

    def flush(self) -> None:
        """Wait for the answers to everything in flight, and send what is buffered."""
        self.settle()
        if self.fatal is None:
            super().flush()

    def close_series(self, batches: Iterable[tuple[Batch, Encoded]]) -> None:
        """Send last samples and whatever waits, behind what is in flight; the first failure ends that."""
        self.settle()
        if self.fatal is None:
            super().close_series(batches)

    def finish(self) -> None:
        """Wait for what is in flight, send what is buffered, and close."""
        self.settle()
        if self.fatal is None:
            super().finish()
        else:
            self.abandon()

    def abandon(self) -> None:
        """Count what becomes of the requests in flight, leave what is buffered, and close."""
        while self._in_flight:
            self._end_oldest(tries_again=False)
        super().abandon()

    def _begin(self, last_bytes: int) -> None:
        """Send the buffer without waiting for the answer."""
        pieces = self._buffer.take(self._clock.monotonic_ns())
        request = self._pipeline.request(pieces)
        events = self._requests.count(pieces)
        sent = _Request(request, self._pipeline.begin(request), pieces[0].first_tick, events, last_bytes)
        self._in_flight.append(sent)

    def _settle_down_to(self, most: int) -> None:
        while len(self._in_flight) > most and self.fatal is None:
            self._end_oldest()

    def _end_oldest(self, *, tries_again: bool = True) -> None:
        """Wait for the answer to the oldest request, and count what has become of it."""
        sent = self._in_flight.popleft()
        try:
            rejection, in_doubt = self._retrying.attempt(self._end, sent) if tries_again else (self._end(sent), False)
        except SinkError as exc:
            self._outcomes.fail(1, exc, lost=sent.events)
            if not self._fails:
                self._outcomes.log_failure(exc)
            elif self.fatal is None:
                self.fatal = exc
        else:
            self._outcomes.accept(1, sent.last_bytes)
            self._outcomes.settle(sent.events, rejection, in_doubt=in_doubt)
        self._count_waiting()
        self._progressed()

    def _end(self, sent: _Request) -> Rejection | None:
        flight, sent.flight = sent.flight, None
        return self._pipeline.end(self._pipeline.begin(sent.request) if flight is None else flight)

    def _count_waiting(self) -> None:
        # The event that completed a request in flight does not count yet.
        self.waiting_events = self._taken_tick - self.next_tick - len(self._in_flight)
