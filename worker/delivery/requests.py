"""Pieces of batches as requests, tried again and counted: what one connection does, one request after the other."""

from collections.abc import Sequence

from worker.delivery.outcomes import Outcomes
from worker.delivery.retrying import Retrying
from worker.sinks import RequestSink
from worker.sinks.batching import Piece


class Requests:
    """Sends the requests of one sink.

    Args:
        sink: the destination.
        retrying: its `retry` block.
        outcomes: where deliveries and refusals are counted; failures are the caller's.

    Attributes:
        sending: how many events were in the newest request.
        next_tick: the number of the first tick behind all that were sent or given up.
    """

    def __init__(self, sink: RequestSink, retrying: Retrying, outcomes: Outcomes) -> None:
        self.sending = 0
        self.next_tick = 0
        self._sink = sink
        self._retrying = retrying
        self._outcomes = outcomes
        self._sent_tick = -1
        self._under_way: Piece | None = None

    def send(self, pieces: Sequence[Piece]) -> None:
        """Send pieces as one request, again and again if need be.

        Raises:
            SinkError: the failure that it ended with.
        """
        self.sending = self.count(pieces)
        request = self._sink.request(pieces)
        self._under_way = pieces[0]
        try:
            rejection, in_doubt = self._retrying.attempt(self._sink.send, request)
        finally:
            self._under_way, self.next_tick = None, self._sent_tick + 1
        self._outcomes.settle(self.sending, rejection, in_doubt=in_doubt)

    @property
    def first_tick(self) -> int | None:
        """The first tick of the request that is under way; None without one."""
        return None if self._under_way is None else self._under_way.first_tick

    def count(self, pieces: Sequence[Piece]) -> int:
        """Return how many events have records in `pieces` and had none in pieces before; a last sample is none."""
        events = 0
        for piece in pieces:
            some, self._sent_tick = piece.events_behind(self._sent_tick)
            events += some
        return events
