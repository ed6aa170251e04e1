"""200 000 events to receivers that fail in every way: each is acknowledged, rejected or lost, and the store agrees."""

import random
from collections import Counter
from collections.abc import Callable, Iterable

import grpc
import pytest

from common.board import Counters
from common.plan import EntryPlan, RotatingLabel
from common.specs import OtlpEncoder, OtlpGrpc, Retry, Step
from tests.support.collector import Collector
from tests.support.faulty_proxy import FaultyProxy
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.receiver import Answer, Receiver
from tests.support.ways import FIRST_VALUE, WAYS, Way, otlp_values
from tests.support.worker_process import worker_processes

EVENTS = 200_000
PER_REQUEST = 500
SERIES = 32
PATIENT = Retry(max_attempts=60, initial_backoff="1ms", max_backoff="200ms")
ROTATING = (RotatingLabel(key="host", cardinality=SERIES, prefix="h"),)

REFUSED = Answer(400, b"never")
UNSTORED = (
    Answer(502, b"overloaded"),
    Answer(503, then="close"),
    Answer(429, headers=("Retry-After: 0",)),
    Answer(reads_body=False),
    Answer(reads_half=True),
)
"""What a receiver says or does that has stored nothing."""

MOVED = Answer(302, headers=("Location: /",))
"""The same, after which OpenTelemetry tries nothing again, and all others do."""

UNHEARD = (
    Answer(then="reset"),
    Answer(raw=b"", then="close"),
    Answer(raw=b"HTTP/1.1 2", then="close"),
    Answer(raw=b"\x00\xff garbage\r\n\r\n", then="close"),
)
"""The same when it may have stored everything, and nobody hears of it."""

TAKEN = (Answer(), Answer(200, b"thanks"), Answer(then="close"), Answer(then="cut"), Answer(delay_secs=0.01))


def behaviour(seed: int, way: Way, share: float, *, refuses: bool) -> Callable[[int], Answer]:
    """Return the answer to each request: the same for a number, whatever the order of requests."""

    def behave(number: int) -> Answer:
        draw = random.Random(seed * 1_000_003 + number)
        if draw.random() >= share:
            taken = draw.choice(TAKEN)
            return Answer(
                taken.status, taken.body, tuple(way.headers(10**9)), delay_secs=taken.delay_secs, then=taken.then
            )
        moved = (MOVED,) if refuses or way.name != "otlp_http" else ()
        return draw.choice((*UNSTORED, *UNHEARD, *moved, *((REFUSED,) if refuses else ())))

    return behave


def run(entry: EntryPlan) -> Counters:
    """Run until enough events were fired and stop; what became of each is counted."""
    with worker_processes() as (worker,):
        worker.start(entry)
        wait_until(lambda: worker.counters().total_events >= EVENTS, f"{EVENTS} events", 240)
        worker.stop()
        assert worker.finished().reason == "stopped"
        assert worker.ended() == 0
        return worker.counters()


def generated(counters: Counters) -> int:
    """Return how many events there were; every one is in one of three counters."""
    events = counters.acknowledged_events + counters.rejected_events + counters.lost_events
    assert counters.total_events <= events <= counters.total_events + counters.errors
    assert counters.in_doubt_events <= counters.rejected_events + counters.lost_events
    return events


def assert_store_agrees(counters: Counters, stored: Iterable[int], *, retries: bool) -> None:
    """What is acknowledged is there, what else is there was in doubt; without retries nothing is there twice."""
    copies = Counter(stored)
    events = generated(counters)
    assert max(copies) < events
    assert counters.acknowledged_events <= len(copies) <= counters.acknowledged_events + counters.in_doubt_events
    if retries:
        assert (counters.lost_events, counters.errors) == (0, 0)
    else:
        assert set(copies.values()) == {1}


def entry_to(way: Way, url: str, in_flight: int, retry: Retry | None) -> EntryPlan:
    return way.entry(url, PER_REQUEST, max_in_flight=in_flight, retry=retry, dynamic_labels=ROTATING)


ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
# Every other one of the entries with lanes, for these cost as much again.
flights = pytest.mark.parametrize("in_flight", [1, 4])
retries = pytest.mark.parametrize("retry", [None, PATIENT], ids=["once", "again"])


@ways
@flights
@retries
def test_a_receiver_that_fails_in_every_way(way: Way, in_flight: int, retry: Retry | None) -> None:
    """With and without retries and lanes: at most once or at least once, as documented, to the event."""
    behave = behaviour(len(way.name) + in_flight, way, 0.3 if retry else 0.1, refuses=retry is None)
    with Receiver(behave) as receiver:
        counters = run(entry_to(way, receiver.url, in_flight, retry))
        unheard = {id(answer) for answer in UNHEARD}
        stored = [
            tick
            for request in receiver.requests
            for answer in [behave(request.number)]
            if id(answer) in unheard or (answer.status < 300 and answer.raw is None)
            for tick in way.ticks_in(request.body)
        ]
        assert_store_agrees(counters, stored, retries=retry is not None)
        assert len(receiver.requests) > EVENTS // PER_REQUEST // 2
        if retry is None:
            assert counters.in_doubt_events > 0
            assert counters.lost_events > counters.in_doubt_events - counters.rejected_events


@ways
def test_a_receiver_that_answers_after_the_deadline(way: Way) -> None:
    """One request without an answer for longer than the sink waits: sent again, and there twice."""
    silent = {40}
    with Receiver(lambda number: Answer(silent=number in silent, headers=tuple(way.headers(10**9)))) as receiver:
        counters = run(entry_to(way, receiver.url, 4, PATIENT))
        copies = Counter(tick for request in receiver.requests for tick in way.ticks_in(request.body))
        assert generated(counters) == counters.acknowledged_events == len(copies)
        (late,) = (request for request in receiver.requests if request.number in silent)
        assert {tick for tick, count in copies.items() if count == 2} == set(way.ticks_in(late.body))


@flights
@retries
def test_a_collector_behind_a_bad_network(in_flight: int, retry: Retry | None) -> None:
    """Calls of gRPC over connections that are cut and late, to a collector that refuses some."""
    # Without a word of when to come back the second one is final.
    busy, full = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED
    outcomes = (busy, full if retry is None else busy)
    behave = lambda number: outcomes[number % 2] if number % 10 == 7 else b""  # noqa: E731
    with (
        Collector(behave) as collector,
        FaultyProxy(collector.port, 0.15, seed=in_flight) as proxy,
    ):
        counters = run(
            entry_plan(
                # Slow enough that connections are made again meanwhile.
                rate=1e5,
                generator=Step(start=FIRST_VALUE, step_size=1.0),
                encoder=OtlpEncoder(),
                dynamic_labels=ROTATING,
                sink=OtlpGrpc(
                    endpoint=f"http://127.0.0.1:{proxy.port}",
                    signal_type="metrics",
                    batch_size=PER_REQUEST,
                    max_buffer_age="0s",
                    max_in_flight=in_flight,
                    retry=retry,
                ),
            )
        )
        stored = [int(value) - FIRST_VALUE for body in collector.kept for value in otlp_values(body)]
        assert sum(proxy.met.values()) > 3
        assert_store_agrees(counters, stored, retries=retry is not None)
