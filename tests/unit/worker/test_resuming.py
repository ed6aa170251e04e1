"""A run that is interrupted and goes on: what it writes is what it would have written, but for what it has missed."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.checkpoints import Checkpoint, Resume
from common.counters import Counters
from common.messages import Start
from common.plan import (
    Burst,
    Cycle,
    EntryPlan,
    GatePlan,
    Histogram,
    RotatingLabel,
    Silence,
    Summary,
    TickShare,
)
from common.specs import Exponential, Flap, HttpPush, Step, Uniform
from common.states import State
from tests.support.few_examples import few_examples
from tests.support.gated_stage import UPSTREAM_ROW
from tests.support.manual_waiter import ManualWaiter
from tests.support.plans import entry_plan, label_spike
from tests.support.run_stage import EventsSink, RunStage
from worker.delivery import Delivery
from worker.delivery.batched import BatchedDelivery
from worker.delivery.outcomes import Outcomes
from worker.delivery.policy import RequestPolicy
from worker.delivery.retrying import Retrying
from worker.gates.links import Links
from worker.sinks.batching import Batching, Piece
from worker.ticks.batch import Encoded

NS = 1_000_000_000
MS = 1_000_000


class Daemon(RunStage):
    """A stage whose workers are stopped at an instant."""

    def run(self, stop_ms: float | None, resume: Resume | None = None) -> Checkpoint:
        """Run from now on until `stop_ms` after the start; return what is kept then."""
        at_ns = None if stop_ms is None else self.start.start_ns + int(stop_ms * MS)
        return self.run_with(ManualWaiter(self.clock, at_ns), resume)


def whole(plan: EntryPlan) -> list[bytes]:
    daemon = Daemon(plan)
    daemon.run(None)
    return daemon.lines


def stamp_ns(line: bytes) -> int:
    return int(line.rsplit(b" ", 1)[1]) * MS


HISTOGRAM = Histogram(
    distribution=Exponential(rate=3.0), buckets=(0.1, 0.5, 1.0), observations_per_tick=7, mean_shift_per_sec=0.1, seed=5
)
SUMMARY = Summary(
    distribution=Exponential(rate=3.0), quantiles=(0.5, 0.9), observations_per_tick=7, mean_shift_per_sec=0.0, seed=5
)
PLANS: dict[str, dict[str, Any]] = {
    "steady": {"generator": Uniform(min=0, max=1, seed=3)},
    "gaps": {"gaps": Cycle(every_ns=700 * MS, for_ns=200 * MS)},
    "silences": {"gap_windows": (Silence(start_ns=900 * MS, end_ns=1500 * MS),)},
    "bursts": {"bursts": Burst(cycle=Cycle(every_ns=600 * MS, for_ns=150 * MS), multiplier=3.0)},
    "labels": {
        "dynamic_labels": (RotatingLabel(key="pod", cardinality=7, prefix="p"),),
        "cardinality_spikes": (
            label_spike(Cycle(every_ns=500 * MS, for_ns=100 * MS), cardinality=5, strategy="random", seed=2),
        ),
    },
    "jitter": {"jitter": 0.5, "jitter_seed": 8},
    "histogram": {"signal_type": "histogram", "generator": HISTOGRAM},
    "summary": {"signal_type": "summary", "generator": SUMMARY},
    "offset": {"phase_offset_ns": 800 * MS},
    "history": {"backfill_ns": 2 * NS, "duration_ns": 5 * NS},
}


@pytest.mark.parametrize("kind", PLANS)
@few_examples
@given(
    stops_ms=st.lists(st.integers(1, 2900), min_size=1, max_size=3),
    away_ms=st.integers(0, 1500),
    fills=st.booleans(),
    rate=st.sampled_from([3.0, 50.0, 110.0]),
)
def test_a_run_that_goes_on_writes_what_it_would_have_written(
    kind: str, stops_ms: list[int], away_ms: int, fills: bool, rate: float
) -> None:
    """With the missed ticks made up for all of it, otherwise all but the ticks of the holes that it names."""
    plan = entry_plan(**{"rate": rate, "duration_ns": 3 * NS, "generator": Step(step_size=1.0)} | PLANS[kind])
    daemon = Daemon(plan)
    resume: Resume | None = None
    for stop_ms in sorted(stops_ms):
        kept = daemon.run(stop_ms, resume)
        resume = Resume(checkpoint=kept, fills=fills)
        daemon.clock.now_ns += away_ms * MS
    kept = daemon.run(None, resume)
    expected = whole(plan)
    if not fills:
        lines = len(expected)
        expected = [
            line
            for line in expected
            if not any(one.from_ns // MS * MS <= stamp_ns(line) < one.until_ns // MS * MS for one in daemon.missed)
        ]
        if rate <= 50 and kind not in ("histogram", "summary"):
            assert lines - len(expected) == sum(one.ticks for one in daemon.missed)
    else:
        assert daemon.missed == []
    assert daemon.lines == expected
    assert kept.counters.bytes_emitted == kept.counters.written_bytes == len(daemon.sink.payload)


@given(
    kind=st.sampled_from(list(PLANS)),
    stop_ms=st.integers(1, 2900),
    back_ms=st.integers(1, 5000),
    fills=st.booleans(),
)
def test_after_a_clock_that_was_set_back_nothing_comes_twice(
    kind: str, stop_ms: int, back_ms: int, fills: bool
) -> None:
    """Even before the start of the run: it waits until the clock has come to its next tick, and has missed nothing."""
    plan = entry_plan(**{"rate": 50.0, "duration_ns": 3 * NS, "generator": Step(step_size=1.0)} | PLANS[kind])
    daemon = Daemon(plan)
    resume = Resume(checkpoint=daemon.run(stop_ms), fills=fills)
    written = len(daemon.lines)
    daemon.start = Start(start_ns=daemon.start.start_ns + back_ms * MS, wall_ns=daemon.start.wall_ns)
    daemon.run(stop_ms - 1, resume)
    assert len(daemon.lines) == written
    daemon.run(None, resume)
    assert daemon.lines == whole(plan)
    assert daemon.missed == []


@few_examples
@given(
    stops_ms=st.lists(st.integers(0, 2900), min_size=1, max_size=3),
    away_ms=st.integers(0, 900),
    residues=st.sampled_from([(0, 1), (1,), (0, 2)]),
    delays=st.sampled_from([{}, {"open_delay_ns": 30 * MS, "close_delay_ns": 40 * MS}]),
)
def test_a_gate_with_a_computed_upstream_is_found_again(
    stops_ms: list[int], away_ms: int, residues: tuple[int, ...], delays: dict[str, int]
) -> None:
    """Its edges are where they are without an interruption, and the ticks between them are made up for."""
    flap = entry_plan(rate=100.0, duration_ns=4 * NS, generator=Flap(up_duration="300ms", down_duration="200ms"))
    gate = GatePlan(scenario_name=None, ref="up", op=">", value=0.5, upstream=flap, **delays)
    share = TickShare(period=3, residues=np.array(residues, dtype="<i4").tobytes())
    plan = entry_plan(rate=130.0, duration_ns=3 * NS, generator=Step(step_size=1.0), gate=gate, share=share)
    daemon = Daemon(plan)
    resume: Resume | None = None
    for stop_ms in sorted(stops_ms):
        resume = Resume(checkpoint=daemon.run(stop_ms, resume))
        daemon.clock.now_ns += away_ms * MS
    daemon.run(None, resume)
    assert daemon.lines == whole(plan)
    assert daemon.missed == []


@pytest.mark.parametrize("kind", ["labels", "histogram", "steady"])
def test_the_digest_of_a_run_that_goes_on_is_that_of_one_that_was_not_interrupted(kind: str) -> None:
    """What only waited for a request is made again, and counts once."""
    plan = entry_plan(
        **{"rate": 100.0, "duration_ns": 3 * NS, "generator": Step(step_size=1.0), "digest": True} | PLANS[kind]
    )
    uninterrupted = Daemon(plan).run(None).counters
    daemon = Daemon(plan)
    kept = daemon.run(1200)
    waiting = msgspec.structs.replace(
        kept.counters, waiting_events=7, next_tick=kept.counters.next_tick - 7, written_bytes=0
    )
    last = daemon.run(None, Resume(checkpoint=msgspec.structs.replace(kept, counters=waiting), fills=True)).counters
    assert uninterrupted.digest_first
    assert [last.digest_first, last.digest_second, last.total_events] == [
        uninterrupted.digest_first,
        uninterrupted.digest_second,
        uninterrupted.total_events,
    ]


class RequestStage(RunStage):
    """A stage whose entry sends requests; before each it is noted what would be kept if the worker died now."""

    def __init__(self, plan: EntryPlan) -> None:
        super().__init__(plan)
        self.batching = Batching(limit=7, unit="records", max_age_ns=0)
        self.kept: list[Checkpoint] = []

    def way(self, waiter: ManualWaiter) -> Callable[[Counters, Callable[[], None]], Delivery]:
        def build(counters: Counters, progressed: Callable[[], None]) -> Delivery:
            outcomes = Outcomes(self.plan, counters, waiter, self.clock)
            retrying = Retrying(self.plan.sink.retry, waiter)
            return BatchedDelivery(self, RequestPolicy(retrying, outcomes, self.clock, progressed, fails=False))

        return build

    def open(self) -> None:
        pass

    def request(self, pieces: Sequence[Piece]) -> bytes:
        return b"".join(piece.payload for piece in pieces)

    def send(self, request: bytes) -> None:
        kept = self.checkpoints.read(0)
        if kept is not None:
            self.kept.append(kept)

    def close(self) -> None:
        pass


def test_a_run_that_dies_within_a_batch_counts_its_events_and_sums_them_up_once() -> None:
    """A history comes in batches of many requests; whichever is the last, its digest holds what its counters say."""
    plan = entry_plan(
        rate=100.0,
        duration_ns=3 * NS,
        backfill_ns=3 * NS,
        generator=Step(step_size=1.0),
        sink=HttpPush(url="http://receiver"),
        digest=True,
    )
    first = RequestStage(plan)
    whole = first.run_with(ManualWaiter(first.clock)).counters
    within = [kept for kept in first.kept if kept.counters.next_tick]
    assert len(within) > 30
    assert whole.batches < 3
    for kept in within:
        second = RequestStage(plan)
        again = second.run_with(ManualWaiter(second.clock), Resume(checkpoint=kept, fills=True)).counters
        assert (again.digest_first, again.digest_second) == (whole.digest_first, whole.digest_second)
        assert again.total_events == whole.total_events == 300


def test_history_comes_first_and_joins_the_live_ticks_without_a_seam() -> None:
    """All of it at once, with the stamps that it would have had; what follows is on time, and only that can be late."""
    plan = entry_plan(rate=10.0, duration_ns=5 * NS, backfill_ns=3 * NS, generator=Step(step_size=1.0))
    daemon = Daemon(plan)
    daemon.run(1)
    assert [int(line.split()[1]) for line in daemon.lines] == list(range(31))
    daemon = Daemon(plan)
    daemon.run(None)
    assert [int(line.split()[1]) for line in daemon.lines] == list(range(50))
    stamps = [stamp_ns(line) for line in daemon.lines]
    assert stamps == [daemon.start.wall_ns - 3 * NS + tick * 100 * MS for tick in range(50)]
    counters = daemon.board.row(0).read()
    assert (counters.total_events, counters.backlog_ns) == (50, 0)


class Halting(EventsSink):
    """Stops the run after some batches."""

    def __init__(self, waiter: ManualWaiter, batches: int) -> None:
        super().__init__()
        self.waiter = waiter
        self.batches = batches

    def write(self, encoded: Encoded) -> None:
        super().write(encoded)
        self.batches -= 1
        if not self.batches:
            self.waiter.stop_at_ns = 0


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_history_that_was_interrupted_is_finished(batches: int) -> None:
    """Nothing of it is a hole, whatever `on_restart` says: only what was live can be missed."""
    plan = entry_plan(rate=100.0, duration_ns=120 * NS, backfill_ns=100 * NS, generator=Step(step_size=1.0))
    daemon = Daemon(plan)
    waiter = ManualWaiter(daemon.clock)
    lines = Halting(waiter, batches)
    daemon.sink = lines
    kept = daemon.run_with(waiter)
    assert 0 < kept.counters.total_events < 10_000
    assert kept.counters.backlog_ns > 0
    lines.batches = 0
    daemon.clock.now_ns += 5 * NS
    daemon.run(None, Resume(checkpoint=kept))
    assert daemon.missed == []
    assert [int(line.split()[1]) for line in daemon.lines] == list(range(12_000))


GATE = GatePlan(scenario_name=None, ref="up", op=">", value=1.0)


def test_a_gated_run_goes_on_in_its_state_and_segment() -> None:
    """Open: its values go on and the hole is named. Paused: it stays paused, and the next segment goes on counting."""
    daemon = Daemon(entry_plan(rate=10.0, duration_ns=9 * NS, generator=Step(step_size=1.0), gate=GATE))
    upstream = Links(daemon.board.descriptor, 1).watchers
    upstream.publish(2.0, daemon.clock.now_ns - 1)
    daemon.links.upstream.follow(UPSTREAM_ROW)
    kept = daemon.run(450)
    assert (kept.counters.state, kept.counters.next_tick) == (State.RUNNING, 5)

    daemon.clock.now_ns += 1000 * MS
    daemon.links = Links(daemon.board.descriptor, 0)
    daemon.links.upstream.follow(UPSTREAM_ROW)
    kept = daemon.run(2050, Resume(checkpoint=kept))
    assert [one.ticks for one in daemon.missed] == [10]
    values = [int(line.split()[1]) for line in daemon.lines]
    assert values == [*range(5), *range(15, 21)]

    upstream.publish(0.0, daemon.clock.now_ns)
    daemon.links = Links(daemon.board.descriptor, 0)
    daemon.links.upstream.follow(UPSTREAM_ROW)
    kept = daemon.run(2500, Resume(checkpoint=kept))
    assert (kept.counters.state, kept.counters.total_events) == (State.PAUSED, 11)
    daemon.clock.now_ns += 1000 * MS
    daemon.links = Links(daemon.board.descriptor, 0)
    daemon.links.upstream.follow(UPSTREAM_ROW)
    kept = daemon.run(4000, Resume(checkpoint=kept))
    assert (kept.counters.state, kept.counters.total_events) == (State.PAUSED, 11)
    upstream.publish(2.0, daemon.clock.now_ns)
    daemon.links = Links(daemon.board.descriptor, 0)
    daemon.links.upstream.follow(UPSTREAM_ROW)
    daemon.run(4250, Resume(checkpoint=kept))
    assert len(daemon.missed) == 1
    assert [int(line.split()[1]) for line in daemon.lines][11:] == [21, 22, 23]
