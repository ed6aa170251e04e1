"""Requests of batches: the same bodies, counters and log as if every event had been written by itself."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.counters import Counters
from common.errors import SinkError, SinkOpenError
from common.specs import HttpPush, Retry
from tests.support.manual_waiter import ManualClock, ManualWaiter
from tests.support.plans import entry_plan
from worker.delivery.batched import BatchedDelivery
from worker.delivery.outcomes import Outcomes
from worker.delivery.policy import RequestPolicy
from worker.delivery.retrying import Retrying
from worker.sinks import batching
from worker.sinks.batching import BatchBuffer, Batching, Piece, Rejection
from worker.ticks.batch import Batch, Encoded

MS = 1_000_000
PLAN = entry_plan(name="up", sink=HttpPush(url="http://h"))
Outcome = Literal["taken", "refused", "thinned", "failed", "broken", "unanswered"]
OUTCOMES: tuple[Outcome, ...] = ("taken", "refused", "failed", "broken")


class RecordingSink:
    """Takes requests as `outcomes` say, each in `request_ns`; what comes after the last is taken."""

    def __init__(self, rule: Batching, clock: ManualClock, outcomes: Sequence[Outcome] = ()) -> None:
        self.batching = rule
        self.clock = clock
        self.outcomes = list(outcomes)
        self.request_ns = 0
        self.sent: list[bytes] = []
        self.taken: list[bytes] = []
        self.calls: list[str] = []
        self.opens = True

    def open(self) -> None:
        self.calls.append("open")
        if not self.opens:
            raise SinkOpenError("no such host")

    def request(self, pieces: Sequence[Piece]) -> bytes:
        for piece in pieces:
            assert piece.records == bytes(piece.payload).count(b"\n")
        return b"".join(piece.payload for piece in pieces)

    def send(self, request: bytes) -> Rejection | None:
        self.clock.now_ns += self.request_ns
        self.sent.append(request)
        match self.outcomes.pop(0) if self.outcomes else "taken":
            case "refused":
                return Rejection("refused for good")
            case "thinned":
                return Rejection("1 records rejected", 1)
            case "failed":
                raise SinkError("not now", retriable=True)
            case "broken":
                raise SinkError("never", retriable=False)
            case "unanswered":
                raise SinkError("no answer", retriable=True, in_doubt=True)
        self.taken.append(request)
        return None

    def close(self) -> None:
        self.calls.append("close")


@dataclass
class Stage:
    """One delivery and what is around it."""

    rule: Batching
    outcomes: Sequence[Outcome] = ()
    retry: Retry | None = None
    fails: bool = False
    clock: ManualClock = field(default_factory=ManualClock)
    counters: Counters = field(default_factory=Counters)
    shown: list[int] = field(default_factory=list)
    tick: int = 0

    def __post_init__(self) -> None:
        self.waiter = ManualWaiter(self.clock)
        self.sink = RecordingSink(self.rule, self.clock, self.outcomes)
        policy = RequestPolicy(
            Retrying(self.retry, self.waiter),
            Outcomes(PLAN, self.counters, self.waiter, self.clock),
            self.clock,
            lambda: self.shown.append(self.counters.total_events),
            fails=self.fails,
        )
        self.delivery = BatchedDelivery(self.sink, policy)

    def deliver(self, *lines: bytes, per_event: int = 1, known: bool = False) -> list[tuple[int, int]]:
        events = len(lines) // per_event
        batch = Batch(self.tick, np.zeros(events), np.arange(events, dtype=np.int64))
        self.tick += events
        ends = np.cumsum([len(line) for line in lines]) if known else None
        return self.delivery.deliver(batch, Encoded(b"".join(lines), events, per_event, ends))


class OneByOne:
    """The batching rule and its counters, an event at a time."""

    def __init__(self, rule: Batching, outcomes: Sequence[Outcome], request_ns: int, fails: bool, now_ns: int) -> None:
        self.rule = rule
        self.outcomes = list(outcomes)
        self.request_ns = request_ns
        self.fails = fails
        self.now_ns = now_ns
        self.flushed_ns = now_ns
        self.buffer: list[bytes] = []
        self.events: set[int] = set()
        self.number = -1
        self.seen: set[int] = set()
        self.sent: list[bytes] = []
        self.counters = Counters()
        self.over = False

    def write(self, lines: Sequence[bytes]) -> bool:
        """Write the lines of one event up to the first that fails; return whether the event counts."""
        self.number += 1
        for line in lines:
            self.buffer.append(line)
            self.events.add(self.number)
            size = len(self.buffer) if self.rule.unit == "records" else sum(map(len, self.buffer))
            aged = self.rule.max_age_ns > 0 and self.now_ns - self.flushed_ns >= self.rule.max_age_ns
            if (size >= self.rule.limit or aged) and not self.flush():
                self.over = self.fails
                return False
        self.counters.total_events += 1
        self.counters.bytes_emitted += sum(map(len, lines))
        return True

    def flush(self) -> bool:
        if not self.buffer:
            return True
        body, self.buffer = b"".join(self.buffer), []
        events, self.events = self.events - self.seen, set()
        self.seen |= events
        self.flushed_ns = self.now_ns
        self.now_ns += self.request_ns
        self.sent.append(body)
        outcome = self.outcomes.pop(0) if self.outcomes else "taken"
        if outcome in ("failed", "broken"):
            self.counters.failed_deliveries += 1
            self.counters.errors += 1
            self.counters.total_sink_failures += 1
            self.counters.consecutive_failures += 1
            self.counters.lost_events += len(events)
            self.counters.last_sink_error = "not now" if outcome == "failed" else "never"
            return False
        if outcome == "refused":
            self.counters.failed_deliveries += 1
            self.counters.rejected_batches += 1
            self.counters.rejected_events += len(events)
            self.counters.last_rejection = "refused for good"
        if outcome == "taken":
            self.counters.deliveries += 1
            self.counters.acknowledged_events += len(events)
            self.counters.consecutive_failures = 0
            self.counters.last_successful_write_at = 1_700_000_000_000_000_000 + self.now_ns
        return True


line_texts = st.binary(min_size=0, max_size=12).map(lambda text: text.replace(b"\n", b"") + b"\n")
rules = st.builds(
    Batching,
    limit=st.integers(0, 40),
    unit=st.sampled_from(["bytes", "records"]),
    max_age_ns=st.sampled_from([0, 3 * MS, 10 * MS]),
)


@given(
    rule=rules,
    batches=st.lists(st.tuples(st.integers(0, 8 * MS), st.lists(line_texts, min_size=4, max_size=30)), max_size=12),
    per_event=st.integers(1, 4),
    known=st.booleans(),
    outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=30),
    request_ns=st.sampled_from([0, MS, 4 * MS]),
    fails=st.booleans(),
)
def test_batches_are_written_as_if_one_by_one(
    rule: Batching,
    batches: list[tuple[int, list[bytes]]],
    per_event: int,
    known: bool,
    outcomes: list[Outcome],
    request_ns: int,
    fails: bool,
) -> None:
    """Whatever the sizes, ages, delays and failures: same bodies, same counters, same events that count."""
    stage = Stage(rule, outcomes, fails=fails)
    stage.sink.request_ns = request_ns
    stage.delivery.open()
    model = OneByOne(rule, outcomes, request_ns, fails, stage.clock.now_ns)
    for wait_ns, lines in batches:
        events = [lines[i : i + per_event] for i in range(0, len(lines) - per_event + 1, per_event)]
        stage.clock.now_ns += wait_ns
        model.now_ns += wait_ns
        ranges = stage.deliver(*chain(*events), per_event=per_event, known=known)
        expected = []
        for index, event in enumerate(events):
            if model.write(event):
                expected.append(index)
            if model.over:
                break
        assert [index for start, stop in ranges for index in range(start, stop)] == expected
        assert (stage.delivery.fatal is not None) is model.over
        assert stage.counters == model.counters
        if model.over:
            break
    else:
        stage.delivery.finish()
        assert model.flush() or stage.counters.errors
    assert stage.sink.sent == model.sent
    assert stage.counters == model.counters


@pytest.mark.parametrize("limit", [4096, 65_536, 1_000_000])
def test_long_batches_are_cut_between_the_same_lines(limit: int) -> None:
    """However long a batch and its requests are, each request has the lines up to the one that makes it due."""
    lines = [b"x" * (place % 97) + b"\n" for place in range(4096)]
    batch = Batch(0, np.zeros(len(lines)), np.zeros(len(lines), np.int64))
    encoded = Encoded(b"".join(lines), len(lines))
    buffer = BatchBuffer(Batching(limit, "bytes", 0), 0)
    first = 0
    while first < len(lines):
        stop = buffer.add(batch, encoded, first, 0, 0)
        sizes = [len(line) for line in lines[first:stop]]
        assert sum(sizes[:-1]) < limit
        assert buffer.is_due is (sum(sizes) >= limit)
        assert b"".join(piece.payload for piece in buffer.take(0)) == b"".join(lines[first:stop])
        first = stop


def test_only_a_due_buffer_is_sent() -> None:
    """Below the size nothing leaves; the event that reaches it is part of the request."""
    stage = Stage(Batching(10, "bytes", 0))
    stage.deliver(b"aaaa\n")
    assert stage.sink.sent == []
    assert stage.counters.last_successful_write_at == 0
    stage.deliver(b"bbbbbb\n", b"c\n")
    assert stage.sink.sent == [b"aaaa\nbbbbbb\n"]
    assert stage.counters.total_events == 3
    assert stage.counters.bytes_emitted == 14


def test_age_counts_from_the_last_flush() -> None:
    """After an idle time the next event is sent at once, alone; the one behind it waits again."""
    stage = Stage(Batching(1000, "bytes", 5000 * MS))
    stage.delivery.open()
    stage.clock.now_ns += 5000 * MS
    stage.deliver(b"a\n", b"b\n", b"c\n")
    assert stage.sink.sent == [b"a\n"]
    stage.clock.now_ns += 4999 * MS
    stage.deliver(b"d\n")
    assert stage.sink.sent == [b"a\n"]
    stage.clock.now_ns += MS
    stage.deliver(b"e\n")
    assert stage.sink.sent == [b"a\n", b"b\nc\nd\ne\n"]


def test_a_failed_request_loses_its_batch_and_no_other() -> None:
    """One failure however many events it held; the next batch goes out as ever."""
    stage = Stage(Batching(2, "records", 0), ["failed"])
    assert stage.deliver(b"a\n", b"b\n", b"c\n", b"d\n") == [(0, 1), (2, 4)]
    assert stage.sink.taken == [b"c\nd\n"]
    assert (stage.counters.total_events, stage.counters.errors, stage.counters.total_sink_failures) == (3, 1, 1)
    assert stage.counters.consecutive_failures == 0
    assert stage.counters.last_sink_error == "not now"
    assert stage.waiter.lines == ["sonda: scenario 'up': 1 sink errors in last 60s (last: not now)"]


def test_a_retry_sends_the_same_body_again() -> None:
    """Until it is taken, without a failure being counted."""
    stage = Stage(
        Batching(2, "records", 0),
        ["failed", "failed", "taken"],
        Retry(max_attempts=2, initial_backoff="100ms", max_backoff="1s"),
    )
    assert stage.deliver(b"a\n", b"b\n") == [(0, 2)]
    assert stage.sink.sent == [b"a\nb\n"] * 3
    assert len(stage.waiter.pauses) == 2
    assert stage.counters.errors == 0


def test_an_exhausted_retry_is_one_failure() -> None:
    """All attempts at a request together count once, and the log says each of them."""
    stage = Stage(
        Batching(1, "records", 0), ["failed"] * 3, Retry(max_attempts=2, initial_backoff="1ms", max_backoff="1ms")
    )
    assert stage.deliver(b"a\n") == []
    assert len(stage.sink.sent) == 3
    assert stage.counters.total_sink_failures == 1
    assert stage.waiter.lines[2:] == [
        "sonda: all 2 retries exhausted (last error: sink error: not now)",
        "sonda: scenario 'up': 1 sink errors in last 60s (last: not now)",
    ]


@pytest.mark.parametrize(
    ("outcomes", "counted"),
    [
        (["unanswered", "taken"], (3, 0, 0, 0)),
        (["unanswered", "failed"], (0, 0, 3, 3)),
        (["failed", "unanswered"], (0, 0, 3, 3)),
        (["failed", "failed"], (0, 0, 3, 0)),
        (["unanswered", "refused"], (0, 3, 0, 3)),
        (["refused"], (0, 3, 0, 0)),
    ],
)
def test_one_attempt_without_an_answer_leaves_a_batch_in_doubt(
    outcomes: list[Outcome], counted: tuple[int, int, int, int]
) -> None:
    """Unless a later attempt was taken: acknowledged, rejected and lost are all, in doubt are some of these."""
    stage = Stage(Batching(3, "records", 0), outcomes, Retry(max_attempts=1, initial_backoff="1ms", max_backoff="1ms"))
    stage.deliver(b"a\n", b"b\n", b"c\n")
    found = stage.counters
    assert counted == (
        found.acknowledged_events,
        found.rejected_events,
        found.lost_events,
        found.in_doubt_events,
    )


def test_what_can_never_succeed_is_not_tried_again() -> None:
    """A terminal error ends the attempts at once."""
    stage = Stage(
        Batching(1, "records", 0), ["broken"], Retry(max_attempts=9, initial_backoff="1ms", max_backoff="1ms")
    )
    stage.deliver(b"a\n")
    assert len(stage.sink.sent) == 1
    assert stage.waiter.pauses == []


def test_no_retry_once_all_is_given_up() -> None:
    """When the time of a stop is over, the last failure stands."""
    stage = Stage(
        Batching(1, "records", 0), ["failed"], Retry(max_attempts=9, initial_backoff="1ms", max_backoff="1ms")
    )
    stage.waiter.give_up_ns = stage.clock.now_ns
    stage.deliver(b"a\n")
    assert len(stage.sink.sent) == 1
    assert stage.counters.errors == 1


def test_the_rest_is_sent_at_the_end() -> None:
    """The final flush counts as a delivery, and the sink is closed behind it."""
    stage = Stage(Batching(100, "records", 0))
    stage.deliver(b"a\n", b"b\n")
    stage.clock.now_ns += 7
    stage.delivery.finish()
    assert stage.sink.taken == [b"a\nb\n"]
    assert stage.counters.last_successful_write_at == stage.clock.wall_ns()
    assert stage.sink.calls == ["close"]


def test_nothing_is_sent_at_the_end_when_nothing_waits() -> None:
    """An empty buffer needs no request, and counts nothing."""
    stage = Stage(Batching(1, "records", 0))
    stage.delivery.finish()
    assert stage.sink.sent == []
    assert stage.counters == Counters()


@pytest.mark.parametrize("fails", [False, True])
def test_a_failed_last_flush_is_counted_and_said(fails: bool) -> None:
    """It is a failure like any other, and under `fail` the scenario's."""
    stage = Stage(Batching(100, "records", 0), ["failed"], fails=fails)
    stage.deliver(b"a\n")
    stage.delivery.finish()
    assert (stage.counters.total_events, stage.counters.errors) == (1, 1)
    assert stage.waiter.lines == ["sonda: scenario 'up': flush failed at shutdown: not now"]
    assert (stage.delivery.fatal is not None) is fails


def test_a_failure_that_ends_the_scenario_leaves_the_buffer() -> None:
    """Under `fail` nothing more is written after the first failure, not even at the close."""
    stage = Stage(Batching(1, "records", 0), ["failed"], fails=True)
    stage.deliver(b"a\n", b"b\n")
    assert str(stage.delivery.fatal) == "not now"
    stage.delivery.abandon()
    assert stage.sink.sent == [b"a\n"]
    assert stage.sink.calls == ["close"]


def test_refused_batches_are_said_once_a_minute_and_are_no_sink_errors() -> None:
    """A 4xx is neither a sink error nor a delivery; the log tells how many there were."""
    stage = Stage(Batching(1, "records", 0), ["refused"] * 4)
    stage.deliver(b"a\n", b"b\n", b"c\n")
    line = "sonda: scenario 'up': http_push sink: received refused for good;"
    assert stage.waiter.lines == [f"{line} discarding batch"]
    stage.clock.now_ns += 60_000 * MS
    stage.deliver(b"d\n")
    assert stage.waiter.lines[1:] == [f"{line} 3 batches discarded in last 60s"]
    assert stage.counters == Counters(
        total_events=4,
        bytes_emitted=8,
        failed_deliveries=4,
        rejected_batches=4,
        rejected_events=4,
        last_rejection="refused for good",
    )


def test_what_is_refused_of_a_request_discards_no_batch() -> None:
    """The log has the receiver's words, and how often it said something of the kind."""
    stage = Stage(Batching(2, "records", 0), ["thinned"] * 3)
    stage.deliver(b"a\n", b"b\n")
    line = "sonda: scenario 'up': http_push sink: 1 records rejected"
    assert stage.waiter.lines == [line]
    stage.deliver(b"c\n", b"d\n")
    stage.clock.now_ns += 60_000 * MS
    stage.deliver(b"e\n", b"f\n")
    assert stage.waiter.lines[1:] == [f"{line}; 2 times in last 60s"]
    assert (stage.counters.acknowledged_events, stage.counters.rejected_events) == (3, 3)


def test_every_request_is_shown_when_it_ends() -> None:
    """Counters are published behind each request of a batch, not only behind the batch."""
    stage = Stage(Batching(2, "records", 0))
    stage.deliver(*[b"a\n"] * 6)
    assert stage.shown == [2, 4, 6]


def test_a_sink_that_does_not_open_is_one_failure() -> None:
    """Its text is kept, and the scenario ends."""
    stage = Stage(Batching(2, "records", 0))
    stage.sink.opens = False
    with pytest.raises(SinkOpenError):
        stage.delivery.open()
    assert stage.counters.last_sink_error == "no such host"
    assert stage.counters.errors == stage.counters.total_sink_failures == stage.counters.consecutive_failures == 1


def test_memory_is_bounded_whatever_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A buffer that has grown to the bound is sent with the batch that filled it."""
    monkeypatch.setattr(batching, "MAX_BUFFERED_BYTES", 10)
    for unit in ("bytes", "records"):
        stage = Stage(Batching(2**64 - 1, unit, 0))  # type: ignore[arg-type]
        stage.deliver(b"aaa\n", b"bbb\n")
        assert stage.sink.sent == []
        stage.deliver(b"c\n", b"d\n")
        assert stage.sink.sent == [b"aaa\nbbb\nc\nd\n"]


def test_a_batch_that_was_lost_is_let_go() -> None:
    """At once: a receiver that is down for days would otherwise fill the memory between two rounds of the collector."""
    stage = Stage(Batching(2, "records", 0), outcomes=["broken"] * 5)
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            stage.deliver(b"a\n", b"b\n", b"c\n")
        assert stage.counters.errors == 5
        assert gc.collect() == 0
    finally:
        gc.enable()
