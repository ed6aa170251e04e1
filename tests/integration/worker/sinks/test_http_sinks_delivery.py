"""A worker delivers to a receiver that fails in every way it can: counters and what has arrived add up exactly."""

import json
import random
from collections.abc import Callable

import pytest

from common.messages import Log
from common.plan import EntryPlan
from common.specs import HttpPush, Loki, Retry, SinkSpec, Step
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.receiver import Answer, Receiver
from tests.support.worker_process import WorkerProcess, worker_processes

EVENTS = 100_000
PER_REQUEST = 250
FIRST_VALUE = 10**9
LINE_BYTES = len("m 1000000000 1731587696789\n")

FAULTS = (
    Answer(500, b"overloaded"),
    Answer(503, then="close"),
    Answer(429),
    Answer(302, headers=("Location: /",)),
    Answer(then="reset"),
    Answer(reads_body=False),
    Answer(raw=b"", then="close"),
    Answer(raw=b"HTTP/1.1 2", then="close"),
    Answer(raw=b"\x00\xff garbage\r\n\r\n", then="close"),
    Answer(raw=b"HTTP/1.1 500 X\r\nContent-Length: 1000\r\n\r\nshort", then="close"),
)
GOOD = (
    Answer(),
    Answer(200, b"thanks"),
    Answer(then="close"),
    Answer(delay_secs=0.01),
    Answer(raw=None, headers=("Connection: close",), then="close"),
)


def faulty(seed: int, share: float) -> Callable[[int], Answer]:
    """Return a behaviour with a `share` of faults, the same for a seed whatever the order of requests."""

    def behave(number: int) -> Answer:
        draw = random.Random(seed * 1_000_003 + number)
        return draw.choice(FAULTS if draw.random() < share else GOOD)

    return behave


def plan(sink: SinkSpec) -> EntryPlan:
    return entry_plan(name="m", rate=1e6, generator=Step(start=FIRST_VALUE, step_size=1.0), sink=sink)


def http_push(url: str, retry: Retry | None) -> EntryPlan:
    # Every line is of the same length, so that a request holds a known number of them.
    return plan(HttpPush(url=url, batch_size=PER_REQUEST * LINE_BYTES, max_buffer_age="0s", retry=retry))


def loki(url: str, retry: Retry | None) -> EntryPlan:
    return plan(Loki(url=url, batch_size=PER_REQUEST, max_buffer_age="0s", retry=retry))


def ticks_in(body: bytes) -> list[int]:
    """Return the ticks of the lines in one body of either sink."""
    if body.startswith(b"{"):
        (stream,) = json.loads(body)["streams"]
        lines = [line for _, line in stream["values"]]
    else:
        lines = body.decode().splitlines()
    return [int(line.split()[1]) - FIRST_VALUE for line in lines]


def emit(worker: WorkerProcess, entry: EntryPlan) -> None:
    """Run until enough ticks were fired, then stop and wait for the end."""
    worker.start(entry)
    fired = lambda: (counters := worker.counters()).total_events + counters.errors >= EVENTS  # noqa: E731
    wait_until(fired, f"{EVENTS} events", 120)
    worker.stop()
    worker.finished()


builds = pytest.mark.parametrize("build", [http_push, loki], ids=["http_push", "loki"])
Build = Callable[[str, Retry | None], EntryPlan]


@builds
def test_retries_lose_and_repeat_nothing(build: Build) -> None:
    """Every event is held once and in order; not one failure is counted."""
    with Receiver(faulty(seed=11, share=0.3)) as receiver, worker_processes() as (worker,):
        emit(worker, build(receiver.url, Retry(max_attempts=40, initial_backoff="1ms", max_backoff="2ms")))
        counters = worker.counters()
        held = [tick for body in receiver.kept for tick in ticks_in(body)]
        assert counters.errors == counters.total_sink_failures == counters.consecutive_failures == 0
        assert held == list(range(counters.total_events))
        assert counters.bytes_emitted == counters.total_events * LINE_BYTES
        assert len(receiver.requests) > len(receiver.kept)


@builds
def test_without_retries_every_loss_is_counted(build: Build) -> None:
    """Each failed request is one failure and loses its batch, nothing else."""
    with Receiver(faulty(seed=12, share=0.1)) as receiver, worker_processes() as (worker,):
        emit(worker, build(receiver.url, None))
        counters = worker.counters()
        logged = [event.message for event in worker.events if isinstance(event, Log)]
        failed_at_the_end = sum("flush failed at shutdown" in line for line in logged)
        fired = counters.total_events + counters.errors - failed_at_the_end
        held = [tick for body in receiver.kept for tick in ticks_in(body)]
        assert counters.errors == counters.total_sink_failures > 20
        assert held == sorted(set(held))
        assert held[-1] < fired
        lost_at_the_end = fired % PER_REQUEST if failed_at_the_end else 0
        assert fired - len(held) == (counters.errors - failed_at_the_end) * PER_REQUEST + lost_at_the_end
        assert counters.last_sink_error
