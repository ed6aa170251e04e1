"""Several requests in flight: the same counters and requests as one after the other, with answers waited for later."""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.board import Counters
from common.errors import SinkError
from common.specs import Kafka, Retry
from tests.support.manual_waiter import ManualClock, ManualWaiter
from tests.support.plans import entry_plan
from worker.delivery.batched import BatchedDelivery
from worker.delivery.outcomes import Outcomes
from worker.delivery.pipelined import PipelinedDelivery
from worker.delivery.policy import RequestPolicy
from worker.delivery.retrying import Retrying
from worker.sinks.batching import Batching, Piece, Rejection
from worker.ticks.batch import Batch, Encoded

Outcome = Literal["taken", "refused", "failed", "doubtful", "partly"]
OUTCOMES: tuple[Outcome, ...] = ("taken", "refused", "failed", "doubtful", "partly")
PLAN = entry_plan(name="up", sink=Kafka(brokers="h:1", topic="t"))
RETRY = Retry(max_attempts=2, initial_backoff="1ms", max_backoff="2ms")


class ScriptedSink:
    """Answers the n-th request that is begun as `outcomes` say; what comes after the last is taken."""

    max_in_flight = 3

    def __init__(self, limit: int, outcomes: Sequence[Outcome] = ()) -> None:
        self.batching = Batching(limit, "records", 0, whole_events=True)
        self.outcomes = list(outcomes)
        self.begun: list[bytes] = []
        self.taken: list[bytes] = []
        self.in_flight = self.most_in_flight = 0
        self.closed = False

    def open(self) -> None:
        """Nothing to do."""

    def request(self, pieces: Sequence[Piece]) -> bytes:
        return b"".join(piece.payload for piece in pieces)

    def begin(self, request: bytes) -> tuple[bytes, Outcome]:
        self.begun.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return request, self.outcomes.pop(0) if self.outcomes else "taken"

    def end(self, flight: tuple[bytes, Outcome]) -> Rejection | None:
        self.in_flight -= 1
        request, outcome = flight
        match outcome:
            case "refused":
                return Rejection("refused for good")
            case "failed":
                raise SinkError("not now", retriable=True)
            case "doubtful":
                raise SinkError("no answer", retriable=True, in_doubt=True)
            case "partly":
                raise SinkError("some", retriable=True, delivered_events=1)
        self.taken.append(request)
        return None

    def send(self, request: bytes) -> Rejection | None:
        return self.end(self.begin(request))

    def close(self) -> None:
        self.closed = True


class Stage:
    """One delivery and what is around it."""

    def __init__(
        self,
        kind: type[BatchedDelivery],
        limit: int,
        outcomes: Sequence[Outcome] = (),
        retry: Retry | None = None,
        fails: bool = False,
    ) -> None:
        self.clock = ManualClock()
        self.waiter = ManualWaiter(self.clock)
        self.counters = Counters()
        self.sink = ScriptedSink(limit, outcomes)
        self.tick = 0
        policy = RequestPolicy(
            Retrying(retry, self.waiter),
            Outcomes(PLAN, self.counters, self.waiter, self.clock),
            self.clock,
            lambda: None,
            fails=fails,
        )
        self.delivery = kind(self.sink, policy)

    def deliver(self, events: int, per_event: int = 1) -> list[tuple[int, int]]:
        lines = [b"%d.%d\n" % (self.tick + event, part) for event in range(events) for part in range(per_event)]
        batch = Batch(self.tick, np.zeros(events), np.arange(events, dtype=np.int64))
        self.tick += events
        return self.delivery.deliver(batch, Encoded(b"".join(lines), events, per_event))


@given(
    st.integers(1, 6),
    st.lists(st.integers(1, 9), max_size=12),
    st.lists(st.sampled_from(OUTCOMES), max_size=12),
    st.booleans(),
)
def test_the_end_is_that_of_one_after_the_other(
    limit: int, batches: list[int], outcomes: list[Outcome], settles: bool
) -> None:
    """Whatever fails, and wherever the run waits: every counter, every request and what was taken of them."""
    ends = []
    for kind in (BatchedDelivery, PipelinedDelivery):
        stage = Stage(kind, limit, outcomes)
        for events in batches:
            stage.deliver(events)
            if settles:
                stage.delivery.settle()
            counters = stage.counters
            counted = counters.total_events - stage.delivery.waiting_events + counters.errors
            assert counted == stage.delivery.next_tick
        stage.delivery.finish()
        counters = msgspec.structs.replace(stage.counters, last_successful_write_at=0)
        ends.append((counters, stage.sink.begun, stage.sink.taken))
        assert stage.sink.closed
        assert counters.acknowledged_events + counters.rejected_events + counters.lost_events == sum(batches)
    assert ends[0] == ends[1]


def test_answers_are_waited_for_when_too_many_are_in_flight() -> None:
    """Three requests are sent before the first answer is waited for, and the event of each counts with its answer."""
    stage = Stage(PipelinedDelivery, 2)
    assert stage.deliver(5) == [(0, 5)]
    assert (stage.sink.in_flight, stage.counters.total_events, stage.counters.deliveries) == (2, 3, 0)
    stage.deliver(5)
    assert stage.sink.most_in_flight == 3
    stage.delivery.settle()
    assert (stage.sink.in_flight, stage.counters.total_events, stage.counters.deliveries) == (0, 10, 5)


def test_a_failed_request_is_tried_again_in_its_turn() -> None:
    """What is behind it waits for its answer meanwhile, and nothing is lost."""
    stage = Stage(PipelinedDelivery, 1, ["failed", "taken", "failed", "taken"], RETRY)
    stage.deliver(3)
    stage.delivery.settle()
    assert stage.sink.begun == [b"0.0\n", b"1.0\n", b"2.0\n", b"0.0\n", b"2.0\n"]
    assert sorted(stage.sink.taken) == [b"0.0\n", b"1.0\n", b"2.0\n"]
    counters = stage.counters
    assert (counters.total_events, counters.acknowledged_events, counters.errors) == (3, 3, 0)
    assert len(stage.waiter.pauses) == 2


def test_what_is_left_of_a_request_is_lost_and_in_doubt() -> None:
    """The attempts are over: one failure, with the events that were acknowledged and those that were not."""
    stage = Stage(PipelinedDelivery, 4, ["doubtful", "partly", "partly"], RETRY)
    stage.deliver(4)
    stage.delivery.settle()
    counters = stage.counters
    assert (counters.acknowledged_events, counters.lost_events, counters.in_doubt_events) == (1, 3, 3)
    assert (counters.total_events, counters.errors, counters.last_sink_error) == (3, 1, "some")


def test_the_first_failure_ends_the_run_when_it_should() -> None:
    """What is in flight behind it is not tried again, but counted; what is buffered is left."""
    stage = Stage(PipelinedDelivery, 2, ["taken", "failed", "failed", "taken"], RETRY, fails=True)
    stage.sink.outcomes[3:3] = ["failed", "failed"]
    stage.deliver(7)
    stage.delivery.settle()
    assert str(stage.delivery.fatal) == "not now"
    stage.delivery.finish()
    assert stage.sink.closed
    counters = stage.counters
    assert (counters.acknowledged_events, counters.lost_events) == (2, 5)
    assert stage.sink.in_flight == 0


@pytest.mark.parametrize("per_event", [2, 3])
def test_requests_hold_whole_events(per_event: int) -> None:
    """The limit falls in the middle of an event: its other records are in the same request."""
    stage = Stage(PipelinedDelivery, per_event + 1)
    stage.deliver(5, per_event)
    stage.delivery.finish()
    assert len(stage.sink.taken) == 3
    for request in stage.sink.taken:
        ticks = [line.partition(b".")[0] for line in request.splitlines()]
        assert all(ticks.count(tick) == per_event for tick in ticks)
    assert stage.counters.acknowledged_events == 5
