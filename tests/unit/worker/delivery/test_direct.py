"""The policy around a sink: a batch has the outcome its events would have had one by one."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.counters import Counters
from common.errors import SinkError
from common.specs import Retry
from tests.support.manual_waiter import ManualClock, ManualWaiter
from tests.support.plans import entry_plan
from worker.delivery.direct import DirectDelivery
from worker.delivery.outcomes import Outcomes
from worker.delivery.retrying import Retrying
from worker.ticks.batch import Batch, Encoded

RETRY = Retry(max_attempts=3, initial_backoff="100ms", max_backoff="1s")


class FlakySink:
    """Takes events until one is to fail, as a stream that breaks or as datagrams that are refused."""

    def __init__(self, failing: Iterable[bytes] = (), *, one_event: bool = False, attempts_to_fail: int = -1) -> None:
        self.failing = set(failing)
        self.one_event = one_event
        self.attempts_to_fail = attempts_to_fail
        self.arrived: list[bytes] = []
        self.closed = False

    def open(self) -> None: ...

    def write(self, encoded: Encoded) -> None:
        delivered = 0
        for event in bytes(encoded.payload).splitlines(keepends=True):
            if event in self.failing and self.attempts_to_fail != 0:
                self.attempts_to_fail -= 1
                raise SinkError("broken", retriable=True, delivered_bytes=delivered, one_event=self.one_event)
            self.arrived.append(event)
            delivered += len(event)

    def close(self) -> None:
        self.closed = True


class Bench:
    """A delivery with its counters and its log."""

    def __init__(self, sink: FlakySink, retry: Retry | None = None, *, fails: bool = False) -> None:
        self.clock = ManualClock()
        self.waiter = ManualWaiter(self.clock)
        self.counters = Counters()
        outcomes = Outcomes(entry_plan(name="up"), self.counters, self.waiter, self.clock)
        self.delivery = DirectDelivery(sink, Retrying(retry, self.waiter), outcomes, fails=fails)

    def deliver(self, events: list[bytes]) -> list[int]:
        """Deliver a batch and return which events were delivered."""
        batch = Batch(0, np.zeros(len(events)), np.zeros(len(events), dtype=np.int64))
        ranges = self.delivery.deliver(batch, Encoded(payload=b"".join(events), events=len(events)))
        return [number for start, stop in ranges for number in range(start, stop)]


def events(count: int) -> list[bytes]:
    return [b"%d\n" % number for number in range(count)]


def test_a_delivered_batch_counts_all_its_events() -> None:
    """Events, bytes and the instant of the delivery; a streak of failures ends."""
    bench = Bench(FlakySink())
    bench.counters.consecutive_failures = 5
    assert bench.deliver(events(12)) == list(range(12))
    written_at = bench.clock.wall_ns()
    assert bench.counters == Counters(
        total_events=12,
        bytes_emitted=26,
        last_successful_write_at=written_at,
        deliveries=1,
        acknowledged_events=12,
        written_bytes=26,
    )


@given(count=st.integers(1, 30), failing=st.sets(st.integers(0, 29)), one_event=st.booleans())
def test_a_batch_counts_as_its_events_one_by_one(count: int, failing: set[int], one_event: bool) -> None:
    """Whichever events fail, alone or with all that follow: same events delivered, same counters, same order."""
    broken = {
        number for number in range(count) if number in failing or (not one_event and number > min(failing, default=99))
    }
    sinks = [FlakySink((b"%d\n" % number for number in broken), one_event=one_event) for _ in range(2)]
    whole, single = Bench(sinks[0]), Bench(sinks[1])
    delivered = whole.deliver(events(count))
    one_by_one = [number for number, event in enumerate(events(count)) if single.deliver([event])]
    assert delivered == one_by_one
    assert sinks[0].arrived == sinks[1].arrived
    for counters in (whole.counters, single.counters):
        # One by one each event is a delivery.
        counters.deliveries = counters.failed_deliveries = 0
    assert whole.counters == single.counters


def test_under_fail_the_first_failure_is_the_last_event() -> None:
    """It counts once, nothing behind it is tried, and `fatal` holds it."""
    sink = FlakySink([b"3\n"], one_event=True)
    bench = Bench(sink, fails=True)
    assert bench.deliver(events(10)) == [0, 1, 2]
    assert str(bench.delivery.fatal) == "broken"
    assert (bench.counters.total_events, bench.counters.errors, bench.counters.total_sink_failures) == (3, 1, 1)
    assert sink.arrived == events(3)


def test_retries_send_only_what_has_not_arrived() -> None:
    """Every event arrives once, in order; a sequence that succeeds is no failure."""
    sink = FlakySink([b"3\n"], attempts_to_fail=3)
    bench = Bench(sink, RETRY)
    assert bench.deliver(events(6)) == list(range(6))
    assert sink.arrived == events(6)
    assert bench.counters.errors == 0
    assert len(bench.waiter.pauses) == 3
    assert all(pause <= limit for pause, limit in zip(bench.waiter.pauses, (0.1, 0.2, 0.4), strict=True))


def test_exhausted_retries_lose_the_rest_of_the_batch() -> None:
    """Each lost event is a failure; the log tells every attempt and the end."""
    bench = Bench(FlakySink([b"3\n"]), RETRY)
    assert bench.deliver(events(6)) == [0, 1, 2]
    assert (bench.counters.errors, bench.counters.consecutive_failures) == (3, 3)
    assert [line.partition(" after")[0] for line in bench.waiter.lines] == [
        "sonda: retry 1/3",
        "sonda: retry 2/3",
        "sonda: retry 3/3",
        "sonda: all 3 retries exhausted (last error: sink error: broken)",
        "sonda: scenario 'up': 3 sink errors in last 60s (last: broken)",
    ]


def test_without_a_retry_block_there_is_one_attempt() -> None:
    """The failure counts at once."""
    bench = Bench(FlakySink([b"0\n"], attempts_to_fail=1))
    assert bench.deliver(events(1)) == []
    assert bench.waiter.pauses == []


def test_backoff_is_short_while_stopping() -> None:
    """What is left of the time is for attempts."""
    bench = Bench(FlakySink([b"0\n"]), Retry(max_attempts=20, initial_backoff="1h", max_backoff="1h"))
    bench.waiter.stop_at_ns = bench.clock.now_ns
    bench.deliver(events(1))
    assert len(bench.waiter.pauses) == 20
    assert max(bench.waiter.pauses) <= 0.1


def test_no_attempt_is_made_once_the_time_is_given_up() -> None:
    """A stop's deadline ends a sequence of retries."""
    bench = Bench(FlakySink([b"0\n"]), Retry(max_attempts=1000, initial_backoff="100ms", max_backoff="100ms"))
    bench.waiter.stop_at_ns = bench.clock.now_ns
    bench.waiter.give_up_ns = bench.clock.now_ns + 1_000_000_000
    bench.deliver(events(1))
    assert len(bench.waiter.pauses) < 200
    assert bench.counters.errors == 1


def test_sink_errors_are_logged_at_once_and_then_once_a_minute() -> None:
    """With the number of errors since the line before."""
    bench = Bench(FlakySink([b"0\n"]))
    for _ in range(121):
        bench.deliver(events(1))
        bench.clock.now_ns += 1_000_000_000
    assert bench.waiter.lines == [
        f"sonda: scenario 'up': {errors} sink errors in last 60s (last: broken)" for errors in (1, 60, 60)
    ]


@pytest.mark.parametrize("end", ["finish", "abandon"])
def test_the_sink_is_closed_however_the_run_ends(end: str) -> None:
    """Nothing is kept back, so nothing is left to write or to count."""
    bench = Bench(sink := FlakySink())
    getattr(bench.delivery, end)()
    assert sink.closed
    assert bench.counters == Counters()
