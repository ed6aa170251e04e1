"""Several requests in flight: how many the receiver sees at a time, in which order, and that all of it adds up."""

import json
import re
from collections import defaultdict
from collections.abc import Callable

import pytest

from common.board import Counters
from common.plan import EntryPlan, RotatingLabel
from common.specs import JsonLines, LogTemplate, Loki, OtlpEncoder, OtlpGrpc, Retry, Step, Template
from tests.support.collector import Collector
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.receiver import Answer, Receiver
from tests.support.ways import FIRST_VALUE, WAYS, Way, otlp_values
from tests.support.worker_process import WorkerProcess, hosting_worker, worker_processes

FAR = Answer(delay_secs=0.05)
SERIES = 16
EVENTS = 8000
RATE = 50_000.0
PER_REQUEST = 100
RETRY = Retry(max_attempts=30, initial_backoff="1ms", max_backoff="5ms")
GENERATOR = LogTemplate(templates=(Template(message="m"),))
ROTATING = (RotatingLabel(key="host", cardinality=SERIES, prefix="h"),)

ways = pytest.mark.parametrize("way", [way for way in WAYS if way.name != "loki"], ids=lambda way: way.name)


def far_entry(way: Way, url: str, in_flight: int, **fields: object) -> EntryPlan:
    options = {"dynamic_labels": ROTATING, "rate": RATE} | fields
    return way.entry(url, PER_REQUEST, max_in_flight=in_flight, **options)


def run(worker: WorkerProcess, entry: EntryPlan) -> Counters:
    """Run until enough events were fired, and return what became of them."""
    worker.start(entry)
    wait_until(lambda: worker.counters().total_events >= EVENTS, f"{EVENTS} events", 60)
    worker.stop()
    assert worker.finished().reason == "stopped"
    assert worker.ended() == 0
    counters = worker.counters()
    assert counters.acknowledged_events + counters.rejected_events + counters.lost_events == counters.total_events
    return counters


def receiving(way: Way, behave: Callable[[int], Answer]) -> Receiver:
    """Return a receiver that says of each request how much of it was taken, where that is expected."""
    return Receiver(behave, says=lambda body: way.headers(len(way.ticks_in(body))))


def settled(counters: Counters) -> int:
    return counters.acknowledged_events + counters.rejected_events + counters.lost_events


def assert_in_order_per_series(way: Way, receiver: Receiver, events: int) -> None:
    """Every event is there once, and those of a series on one connection, in order."""
    held: dict[int, list[int]] = defaultdict(list)
    connections: dict[int, set[int]] = defaultdict(set)
    for request in receiver.requests:
        for tick in way.ticks_in(request.body):
            held[tick % SERIES].append(tick)
            connections[tick % SERIES].add(request.connection)
    assert sorted(tick for ticks in held.values() for tick in ticks) == list(range(events))
    for series in range(SERIES):
        assert held[series] == sorted(held[series])
        assert len(connections[series]) == 1


@ways
@pytest.mark.parametrize("in_flight", [1, 4])
def test_a_far_receiver_sees_as_many_requests_at_a_time(way: Way, in_flight: int) -> None:
    """With one it waits 50 ms for each; with four there are four, and no series overtakes itself."""
    with receiving(way, lambda _: FAR) as receiver, worker_processes() as (worker,):
        counters = run(worker, far_entry(way, receiver.url, in_flight))
        assert receiver.most_in_flight == receiver.connection_count == in_flight
        assert counters.total_events == counters.acknowledged_events
        assert counters.deliveries == len(receiver.requests)
        assert_in_order_per_series(way, receiver, counters.total_events)


def test_a_series_has_one_request_in_flight() -> None:
    """An entry with a single series does as with `max_in_flight: 1`."""
    (way,) = (way for way in WAYS if way.name == "http_push")
    with Receiver(lambda _: Answer(delay_secs=0.001)) as receiver, worker_processes() as (worker,):
        run(worker, far_entry(way, receiver.url, 8, dynamic_labels=()))
        assert (receiver.most_in_flight, receiver.connection_count) == (1, 1)


def test_streams_of_logs_are_dealt() -> None:
    """Loki: every stream in one lane, its entries in order of their stamps."""

    with Receiver(lambda _: FAR) as receiver, worker_processes() as (worker,):
        sink = Loki(url=receiver.url, batch_size=PER_REQUEST, max_buffer_age="0s", max_in_flight=4)
        entry = entry_plan(
            signal_type="logs",
            rate=RATE,
            generator=GENERATOR,
            encoder=JsonLines(),
            dynamic_labels=(RotatingLabel(key="host", cardinality=10, prefix="h"),),
            sink=sink,
        )
        counters = run(worker, entry)
        assert receiver.most_in_flight == 4
        assert counters.acknowledged_events == counters.total_events
        stamps: dict[str, list[int]] = defaultdict(list)
        connections: dict[str, set[int]] = defaultdict(set)
        for request in receiver.requests:
            for stream in json.loads(request.body)["streams"]:
                host = stream["stream"]["host"]
                connections[host].add(request.connection)
                stamps[host] += [int(stamp) for stamp, _ in stream["values"]]
        assert sorted(stamps) == sorted(f"h{index}" for index in range(10))
        first = min(min(one) for one in stamps.values())
        for host, one in stamps.items():
            assert len(connections[host]) == 1
            # One event in ten, each due 200 µs behind the one before, at the places of its label.
            index = int(re.sub("h", "", host))
            assert one == [first + 20_000 * (index + 10 * turn) for turn in range(len(one))]


def test_calls_of_grpc_are_in_flight_too() -> None:
    """A channel for each lane."""
    with Collector(delay_secs=0.05) as collector, worker_processes() as (worker,):
        entry = entry_plan(
            rate=RATE,
            generator=Step(start=FIRST_VALUE, step_size=1.0),
            encoder=OtlpEncoder(),
            dynamic_labels=ROTATING,
            sink=OtlpGrpc(
                endpoint=collector.endpoint,
                signal_type="metrics",
                batch_size=PER_REQUEST,
                max_buffer_age="0s",
                max_in_flight=4,
            ),
        )
        counters = run(worker, entry)
        assert collector.most_in_flight == 4
        assert counters.acknowledged_events == counters.total_events
        held = [int(value) - FIRST_VALUE for body in collector.kept for value in otlp_values(body)]
        assert sorted(held) == list(range(counters.total_events))
        for series in range(SERIES):
            ticks = [tick for tick in held if tick % SERIES == series]
            assert ticks == sorted(ticks)


@ways
def test_retries_hold_up_one_lane_and_keep_its_order(way: Way) -> None:
    """One request in three fails, with or without an answer: all is acknowledged in the end, in order."""
    faults = (Answer(503), Answer(503, then="close"), Answer(raw=b"", then="close"))
    behave = lambda number: faults[number // 3 % 3] if number % 3 == 2 else Answer()  # noqa: E731
    with receiving(way, behave) as receiver, worker_processes() as (worker,):
        counters = run(worker, far_entry(way, receiver.url, 4, retry=RETRY))
        assert (counters.acknowledged_events, counters.errors) == (counters.total_events, 0)
        assert counters.in_doubt_events == 0
        kept = [tick for body in receiver.kept for tick in way.ticks_in(body)]
        assert sorted(kept) == list(range(counters.total_events))
        for series in range(SERIES):
            ticks = [tick for tick in kept if tick % SERIES == series]
            assert ticks == sorted(ticks)


@ways
def test_losses_of_all_lanes_add_up(way: Way) -> None:
    """Without `retry`: what is not acknowledged is lost or rejected, and what got no answer is in doubt."""
    faults = (Answer(503), Answer(raw=b"", then="close"), Answer(400), Answer(429))
    behave = lambda number: faults[number // 5 % 4] if number % 5 == 2 else Answer()  # noqa: E731
    with receiving(way, behave) as receiver, worker_processes() as (worker,):
        counters = run(worker, far_entry(way, receiver.url, 4))
        kept = [tick for body in receiver.kept for tick in way.ticks_in(body)]
        asked = [len(way.ticks_in(request.body)) for request in receiver.requests if request.number % 20 == 7]
        assert counters.acknowledged_events == len(kept)
        assert counters.in_doubt_events == sum(asked) > 0
        assert counters.deliveries + counters.failed_deliveries == len(receiver.requests)


def test_under_fail_one_lane_ends_the_scenario() -> None:
    """What was buffered or in flight is lost and counted; the reason is that of the first failure."""
    (way,) = (way for way in WAYS if way.name == "http_push")
    behave = lambda number: Answer(503) if number == 9 else Answer(silent=number > 9)  # noqa: E731
    with Receiver(behave) as receiver, worker_processes() as (worker,):
        worker.start(far_entry(way, receiver.url, 4, on_sink_error="fail"))
        finished = worker.finished(20)
        assert finished.reason == "failed"
        assert finished.fault is not None
        assert "HTTP 503" in finished.fault.message
        counters = worker.counters()
        assert counters.acknowledged_events == sum(len(way.ticks_in(body)) for body in receiver.kept)
        assert settled(counters) == counters.total_events > counters.acknowledged_events


def test_a_stop_waits_for_no_lane_beyond_its_time() -> None:
    """All lanes hang: the worker leaves within the window, and what was sent is in doubt."""
    (way,) = (way for way in WAYS if way.name == "http_push")
    with Receiver(lambda _: Answer(silent=True)) as receiver, worker_processes() as (worker,):
        worker.start(far_entry(way, receiver.url, 4))
        wait_until(lambda: len(receiver.requests) == 4, "all lanes hang")
        worker.stop(2.0)
        assert worker.finished().reason == "stopped"
        assert worker.ended() == 0
        counters = worker.counters()
        assert settled(counters) == counters.total_events == counters.lost_events
        assert counters.in_doubt_events == sum(len(way.ticks_in(request.body)) for request in receiver.requests)
        assert "to stop" in (counters.last_sink_error or "")


def test_lanes_of_hosted_entries_share_a_process() -> None:
    """Two entries with lanes beside one without: each delivers all of its events, and the process ends."""
    (way,) = (way for way in WAYS if way.name == "http_push")
    with Receiver(lambda _: FAR) as near, Receiver(lambda _: FAR) as far, hosting_worker() as worker:
        worker.add("a", far_entry(way, near.url, 4))
        worker.add("b", far_entry(way, far.url, 3))
        worker.add("c", way.entry(near.url, PER_REQUEST, rate=5000.0))
        worker.start_all()
        for name in "abc":
            wait_until(lambda: worker.counters_of(name).total_events >= EVENTS, "events", 60)  # noqa: B023
            worker.stop_one(name)
            assert worker.finished_of(name).reason == "stopped"
            counters = worker.counters_of(name)
            assert (counters.acknowledged_events, counters.errors) == (counters.total_events, 0)
        assert far.most_in_flight == 3
        worker.stop()
        assert worker.ended() == 0


def test_a_sink_that_does_not_open_leaves_no_lane_behind() -> None:
    """The scenario ends with the reason, counted once."""
    (way,) = (way for way in WAYS if way.name == "http_push")
    with worker_processes() as (worker,):
        worker.start(far_entry(way, "http://127.0.0.1:1", 4, headers={"bad name": "x"}))
        finished = worker.finished(20)
        assert finished.reason == "failed"
        assert worker.ended() == 0
        assert worker.counters().total_sink_failures == 1
