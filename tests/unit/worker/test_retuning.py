"""A run that is changed while it goes on: the same bytes up to the named tick, the documented function from there."""

import struct
from collections.abc import Callable
from collections.abc import Sequence as Listed
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from common.checkpoints import Checkpoint, Checkpoints, CheckpointWriter, Resume
from common.counters import Counters
from common.current import CurrentValues
from common.messages import Held, Retune
from common.plan import (
    Burst,
    Cycle,
    EntryPlan,
    GatePlan,
    GeneratorPlan,
    Histogram,
    ReplayColumn,
    ReplayRows,
    RotatingLabel,
    Silence,
    Summary,
)
from common.specs import (
    Constant,
    Exponential,
    Flap,
    JsonLines,
    LogTemplate,
    Normal,
    OtlpEncoder,
    Sawtooth,
    Sequence,
    Sine,
    Spike,
    Step,
    Template,
    Uniform,
)
from common.states import State
from common.tuning import Tuning
from tests.support.few_examples import few_examples
from tests.support.gated_stage import UPSTREAM_ROW
from tests.support.manual_waiter import ManualWaiter
from tests.support.plans import entry_plan, label_spike
from tests.support.protobuf_classes import frames_of
from tests.support.reference_schedule import NearHalfError
from tests.support.run_stage import RunStage
from tests.support.tuned_reference import TunedReference
from worker.gates.links import Links
from worker.generators import BUILDERS, OBSERVERS

NS = 1_000_000_000
MS = 1_000_000


def tuning(plan: EntryPlan, **changes: Any) -> Tuning:
    """Return what `plan` is, with some of it changed."""
    fields = {
        "rate": plan.rate,
        "duration_ns": plan.duration_ns,
        "labels": plan.labels,
        "generator": None,
        "jitter": plan.jitter,
        "jitter_seed": plan.jitter_seed,
    }
    return Tuning(**(fields | changes))


class Tuned(RunStage):
    """A run under changes, each asked for at an instant (ms after the start), over any number of workers."""

    def __init__(self, plan: EntryPlan, changes: Listed[tuple[float, dict[str, Any]]], *, holds: bool = True) -> None:
        super().__init__(plan)
        self.held: list[Held] = []
        self.plans = [plan]
        self.asked = []
        latest = plan
        for number, (at_ms, fields) in enumerate(changes):
            wanted = tuning(latest, **fields)
            latest = wanted.of(latest) if holds else latest
            at_ns = self.start.start_ns + int(at_ms * MS)
            self.asked.append((at_ns, Retune(scenario_id="a", number=number, tuning=wanted), holds))

    def run(self, stop_ms: float | None = None, resume: Resume | None = None) -> Checkpoint:
        """Run from now on until `stop_ms` after the start, or to the end; return what is kept then."""
        stop_at_ns = None if stop_ms is None else self.start.start_ns + int(stop_ms * MS)
        waiter = ManualWaiter(self.clock, stop_at_ns)
        waiter.retunes = [asked for asked in self.asked if stop_at_ns is None or asked[0] < stop_at_ns]
        self.asked = [asked for asked in self.asked if asked not in waiter.retunes]
        decided = list(waiter.retunes)
        self.plan = self.plans[-1]
        kept = self.run_with(waiter, resume)
        for held, (_, retune, holds) in zip(waiter.held, decided, strict=False):
            self.held.append(held)
            self.plans.append(retune.tuning.of(self.plans[-1], held.origin) if holds else self.plans[-1])
        # What was asked for while the run was over is never answered.
        return kept

    @property
    def series(self) -> list[tuple[float, int]]:
        """Values and stamps of lines, ms after the start."""
        pairs = [line.rsplit(b" ", 2)[1:] for line in self.lines]
        return [(float(value), int(stamp) - self.start.wall_ns // MS) for value, stamp in pairs]


HISTOGRAM = Histogram(
    distribution=Exponential(rate=3.0), buckets=(0.1, 0.5, 1.0), observations_per_tick=7, mean_shift_per_sec=0.0, seed=5
)
SUMMARY = Summary(
    distribution=Exponential(rate=3.0), quantiles=(0.5, 0.9), observations_per_tick=7, mean_shift_per_sec=0.0, seed=5
)
LOG = LogTemplate(
    templates=(
        Template(message="a {ip}", field_pools={"ip": ("1", "2", "3")}),
        Template(message="b {ip}", field_pools={"ip": ("4", "5")}),
        Template(message="c"),
    ),
    severity_weights={"info": 3.0, "error": 1.0},
    seed=9,
)
COLUMN = ReplayColumn(values=np.arange(17.0).tobytes(), repeat=True)
ROWS = ReplayRows(severities=bytes([2, 4, 1]), messages=("x", "y", "z"), fields={}, repeat=True)

periods = st.sampled_from([0.3, 0.7, 1.0, 4.0, 60.0])
levels = st.sampled_from([-3.0, 0.0, 0.1, 5.0, 1e6])
KINDS: dict[type, st.SearchStrategy[Any]] = {
    Constant: st.builds(Constant, value=levels),
    Uniform: st.builds(Uniform, min=levels, max=levels, seed=st.integers(0, 2**64 - 1)),
    Sine: st.builds(Sine, amplitude=levels, period_secs=periods, offset=levels),
    Sawtooth: st.builds(Sawtooth, min=levels, max=levels, period_secs=periods),
    Sequence: st.builds(Sequence, values=st.lists(levels, min_size=1, max_size=9).map(tuple), repeat=st.booleans()),
    Spike: st.builds(Spike, baseline=levels, magnitude=levels, duration_secs=periods, interval_secs=periods),
    Step: st.builds(
        Step,
        step_size=st.sampled_from([1.0, 0.3, -2.5, 0.0]),
        start=st.sampled_from([0.0, 10.0]),
        max=st.sampled_from([None, 7.0, 25.0]),
    ),
    Flap: st.builds(
        Flap, up_duration=st.sampled_from(["300ms", "2s"]), down_duration=st.sampled_from(["200ms", "1s", "5s"])
    ),
}
rates = st.sampled_from([3.0, 7.5, 50.0, 110.0])
instants = st.lists(st.integers(0, 1900), min_size=1, max_size=3).map(sorted)


def test_every_generator_is_tried() -> None:
    """A new kind has to say here how it goes on."""
    assert (
        KINDS.keys() | {ReplayColumn, ReplayRows, LogTemplate, Histogram, Summary} == BUILDERS.keys() | OBSERVERS.keys()
    )


@pytest.mark.parametrize("kind", KINDS)
@few_examples
@given(data=st.data(), at_ms=instants, rate=rates)
def test_bytes_are_the_same_up_to_the_named_tick_and_those_of_the_function_behind_it(
    kind: type, data: st.DataObject, at_ms: list[int], rate: float
) -> None:
    """Every parameter and the rate may change, several times; each tick is that of the reference."""
    generators, some_rates = KINDS[kind], st.none() | rates
    plan = entry_plan(rate=rate, duration_ns=2 * NS, generator=data.draw(generators))
    changes: list[tuple[float, dict[str, Any]]] = []
    for at in at_ms:
        fields = {"rate": data.draw(some_rates), "generator": data.draw(st.none() | generators)}
        changes.append((at, {name: value for name, value in fields.items() if value is not None}))
    tuned, plain = Tuned(plan, changes), Tuned(plan, [])
    tuned.run()
    plain.run()
    reference, expected, begin = TunedReference(plan), [], 0
    try:
        for held, following in zip(tuned.held, tuned.plans[1:], strict=True):
            assert held.stamp_ns == tuned.start.wall_ns + reference.due_ns(held.tick)
            expected += [(reference.value(tick), reference.due_ns(tick)) for tick in range(begin, held.tick)]
            begin = held.tick
            reference.change(begin, following)
        expected += [
            (reference.value(tick), reference.due_ns(tick)) for tick in range(begin, begin + len(tuned.series))
        ]
    except NearHalfError:
        assume(False)
    expected = [(value, due_ns // MS) for value, due_ns in expected if due_ns < 2 * NS]
    assert tuned.series == [(pytest.approx(value, abs=1e-9, rel=1e-12), due_ms) for value, due_ms in expected]
    first = tuned.held[0].tick
    assert tuned.lines[:first] == plain.lines[:first]
    assert (first, len(tuned.held)) == (sum(stamp < at_ms[0] for _, stamp in plain.series), len(at_ms))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in (Constant, Uniform, Sequence)])
@few_examples
@given(data=st.data(), at_ms=st.integers(300, 1700), rate=rates, new_rate=rates)
def test_a_value_does_not_jump_where_only_its_pace_changes(
    kind: type, data: st.DataObject, at_ms: int, rate: float, new_rate: float
) -> None:
    """At the named tick the value is what it would have been: the wave has its angle, the counter its count."""
    before, after = data.draw(KINDS[kind]), data.draw(KINDS[kind])
    pace = {"period_secs", "duration_secs", "interval_secs", "step_size", "up_duration", "down_duration"}
    fields = {name: getattr(after if name in pace else before, name) for name in before.__struct_fields__}
    # A spike as long as its interval has no low part in which it could stay.
    assume(kind is not Spike or fields["duration_secs"] < fields["interval_secs"])
    plan = entry_plan(rate=rate, duration_ns=2 * NS, generator=before)
    tuned, plain = Tuned(plan, [(at_ms, {"rate": new_rate, "generator": kind(**fields)})]), Tuned(plan, [])
    tuned.run()
    plain.run()
    tick = tuned.held[0].tick
    if tick < len(plain.series):
        value, stamp = plain.series[tick]
        assert tuned.series[tick] == (pytest.approx(value, abs=1e-9, rel=1e-9), stamp)


OTHERS: dict[str, tuple[GeneratorPlan, dict[str, Any]]] = {
    "uniform": (Uniform(min=0, max=1, seed=3), {}),
    "column": (COLUMN, {}),
    "rows": (ROWS, {"signal_type": "logs", "encoder": JsonLines()}),
    "template": (LOG, {"signal_type": "logs", "encoder": JsonLines()}),
    "jitter": (Constant(value=1.0), {"jitter": 0.5, "jitter_seed": 4}),
    "histogram": (HISTOGRAM, {"signal_type": "histogram"}),
    "summary": (SUMMARY, {"signal_type": "summary"}),
    "labels": (Step(step_size=1.0), {"dynamic_labels": (RotatingLabel(key="pod", cardinality=7, prefix="p"),)}),
}


@pytest.mark.parametrize("kind", OTHERS)
@few_examples
@given(at_ms=st.integers(0, 1900), rate=rates, new_rate=rates)
def test_what_depends_on_the_tick_alone_does_not_notice_another_rate(
    kind: str, at_ms: int, rate: float, new_rate: float
) -> None:
    """Random draws, rows, log events and rotating labels are those of the tick; what is counted is counted on."""
    generator, fields = OTHERS[kind]
    plan = entry_plan(rate=rate, duration_ns=2 * NS, generator=generator, **fields)
    tuned, plain = Tuned(plan, [(at_ms, {"rate": new_rate})]), Tuned(plan, [])
    tuned.run()
    plain.run()
    strip = _without_stamp if kind not in ("rows", "template") else _without_timestamp
    common = min(len(tuned.lines), len(plain.lines))
    assert [strip(line) for line in tuned.lines[:common]] == [strip(line) for line in plain.lines[:common]]


def _without_stamp(line: bytes) -> bytes:
    return line.rpartition(b" ")[0]


def _without_timestamp(line: bytes) -> bytes:
    return line.split(b'"timestamp"')[0] + line.split(b",", 1)[1]


@pytest.mark.parametrize("generator", [HISTOGRAM, SUMMARY], ids=["histogram", "summary"])
def test_observations_are_counted_on_after_a_change_of_what_is_observed(generator: Histogram | Summary) -> None:
    """Counts and sums never fall; from the named tick on they grow by what the new distribution gives."""
    kind = "histogram" if isinstance(generator, Histogram) else "summary"
    after = type(generator)(
        **{name: getattr(generator, name) for name in generator.__struct_fields__}
        | {"distribution": Normal(mean=2.0, stddev=0.1), "observations_per_tick": 3}
    )
    plan = entry_plan(rate=20.0, duration_ns=2 * NS, generator=generator, signal_type=kind)
    tuned = Tuned(plan, [(1000, {"generator": after})])
    tuned.run()
    other = Tuned(entry_plan(rate=20.0, duration_ns=2 * NS, generator=after, signal_type=kind), [])
    other.run()
    (held,) = tuned.held
    width = len(tuned.lines) // 40
    counted = {b"x_count", b"x_sum"} | {line.split(b" ")[0] for line in tuned.lines if line.startswith(b"x_bucket")}
    grown = 0
    for place in range(width):
        ours, theirs = tuned.series[place::width], other.series[place::width]
        name = tuned.lines[place].split(b" ")[0]
        assert len(ours) == 40
        if name not in counted:
            assert ours[held.tick :] == theirs[held.tick :]
            continue
        steps = np.diff([value for value, _ in ours])
        assert (steps >= 0).all()
        expected = np.diff([value for value, _ in theirs])[held.tick :]
        assert steps[held.tick :] == pytest.approx(expected)
        grown += 1
    assert grown >= 2


def test_a_shift_of_the_mean_goes_on_from_what_it_has_reached() -> None:
    """It grows by the new slope, and stays where it is when that is 0."""
    fields = {name: getattr(SUMMARY, name) for name in SUMMARY.__struct_fields__} | {
        "distribution": Normal(mean=0.0, stddev=1e-9)
    }
    plan = entry_plan(
        rate=10.0, duration_ns=3 * NS, generator=Summary(**fields | {"mean_shift_per_sec": 2.0}), signal_type="summary"
    )
    tuned = Tuned(
        plan,
        [
            (1000, {"generator": Summary(**fields | {"mean_shift_per_sec": 0.0})}),
            (2000, {"generator": Summary(**fields | {"mean_shift_per_sec": -4.0}), "rate": 20.0}),
        ],
    )
    tuned.run()
    medians = [value for value, _ in tuned.series[::4]]
    slope = [2.0 * tick / 10 for tick in range(10)] + [2.0] * 10 + [2.0 - 4.0 * tick / 20 for tick in range(20)]
    assert medians == pytest.approx(slope, abs=1e-6)


WINDOWS: dict[str, dict[str, Any]] = {
    "none": {},
    "gaps": {"gaps": Cycle(every_ns=700 * MS, for_ns=200 * MS)},
    "silences": {"gap_windows": (Silence(start_ns=900 * MS, end_ns=1500 * MS),)},
    "bursts": {"bursts": Burst(cycle=Cycle(every_ns=600 * MS, for_ns=150 * MS), multiplier=3.0)},
    "spikes": {"cardinality_spikes": (label_spike(Cycle(every_ns=500 * MS, for_ns=100 * MS), cardinality=5, seed=2),)},
    "offset": {"phase_offset_ns": 800 * MS},
    "history": {"backfill_ns": 2 * NS, "duration_ns": 5 * NS},
    "histogram": {"signal_type": "histogram", "generator": HISTOGRAM},
    "summary": {"signal_type": "summary", "generator": SUMMARY},
}

SILENT: dict[str, Callable[[int], bool]] = {
    "gaps": lambda ms: ms % 700 >= 500,
    "silences": lambda ms: 900 <= ms < 1500,
}
"""Milliseconds of a run at which nothing is emitted."""


@pytest.mark.parametrize("kind", [kind for kind in WINDOWS if kind not in SILENT])
@few_examples
@given(
    stops_ms=st.lists(st.integers(1, 2900), min_size=1, max_size=3),
    at_ms=st.lists(st.integers(0, 2900), min_size=1, max_size=2).map(sorted),
    rate=rates,
    new_rates=st.tuples(rates, rates),
)
def test_a_changed_run_that_is_interrupted_goes_on_changed(
    kind: str, stops_ms: list[int], at_ms: list[int], rate: float, new_rates: tuple[float, float]
) -> None:
    """Each worker has the plan of the last change and the checkpoint alone, and the bytes are those of one worker.

    Without gaps: a worker that goes on within one changes at its next tick there, and one that has entered it has
    passed all of its ticks over.
    """
    plan = entry_plan(**{"rate": rate, "duration_ns": 3 * NS, "generator": Step(step_size=1.0)} | WINDOWS[kind])
    changes = [(at, {"rate": new, "labels": {"zone": str(at)}}) for at, new in zip(at_ms, new_rates, strict=False)]
    whole, cut = Tuned(plan, changes), Tuned(plan, changes)
    whole.run()
    resume: Resume | None = None
    for stop_ms in sorted(set(stops_ms)):
        resume = Resume(checkpoint=cut.run(stop_ms, resume), fills=True)
    kept = cut.run(None, resume)
    assert cut.held == whole.held
    assert cut.lines == whole.lines
    assert kept.counters.total_events == len(whole.lines) // (
        1 if kind not in ("histogram", "summary") else 6 - 2 * (kind == "summary")
    )


def test_windows_keep_their_clock() -> None:
    """Gaps, silences and bursts lie where they lay, whatever the rate; ticks in a silence count as before."""
    for kind, silent in SILENT.items():
        fields = WINDOWS[kind]
        plan = entry_plan(rate=50.0, duration_ns=3 * NS, generator=Step(step_size=1.0), **fields)
        tuned = Tuned(plan, [(410, {"rate": 80.0})])
        tuned.run()
        (held,) = tuned.held
        begin_ms = (held.stamp_ns or 0) // MS - tuned.start.wall_ns // MS
        expected = [(tick, tick * 20) for tick in range(held.tick)]
        expected += [(held.tick + place, begin_ms + place * 25 // 2) for place in range(300)]
        assert tuned.series == [(tick, ms) for tick, ms in expected if ms < 3000 and not silent(ms)]
    plan = entry_plan(rate=50.0, duration_ns=3 * NS, generator=Step(step_size=1.0), **WINDOWS["bursts"])
    tuned = Tuned(plan, [(410, {"rate": 100.0})])
    tuned.run()
    in_burst = [ms for _, ms in tuned.series if ms > 410 and ms % 600 < 150]
    assert len(in_burst) == pytest.approx(4 * 45, abs=4)
    assert len([ms for _, ms in tuned.series if ms > 410 and ms % 600 >= 150]) == pytest.approx(4 * 45 + 19, abs=4)


def test_a_replay_keeps_its_rows_and_their_silences() -> None:
    """At twice the pace each row is still its tick's, and the rows without a sample are the same ones."""
    silence = Silence(start_ns=12 * 100 * MS, end_ns=15 * 100 * MS)
    plan = entry_plan(rate=10.0, duration_ns=3 * NS, generator=COLUMN, gap_windows=(silence,))
    tuned, plain = Tuned(plan, [(450, {"rate": 20.0})]), Tuned(plan, [])
    tuned.run()
    plain.run()
    shown = [value for value, _ in plain.series]
    assert shown[:14] == [*range(12), 15, 16]
    assert [value for value, _ in tuned.series][: len(shown)] == shown


def test_a_change_that_does_not_hold_leaves_no_trace() -> None:
    """The run stands still, goes on as it was, and drops nothing that has become late."""
    plan = entry_plan(rate=50.0, duration_ns=2 * NS, generator=Sine(amplitude=1, period_secs=3, offset=0))
    tuned, plain = Tuned(plan, [(500, {"rate": 5.0, "labels": {"a": "b"}})], holds=False), Tuned(plan, [])
    tuned.run()
    plain.run()
    assert [held.tick for held in tuned.held] == [25]
    assert tuned.lines == plain.lines


def test_a_duration_may_be_shortened_to_what_has_passed_and_taken_away() -> None:
    """Shorter than what has passed: the run is over at once. None: it goes on until it is stopped."""
    plan = entry_plan(rate=50.0, duration_ns=2 * NS, generator=Step(step_size=1.0))
    shortened = Tuned(plan, [(500, {"duration_ns": 100 * MS})])
    shortened.run()
    assert len(shortened.lines) == 25
    assert shortened.board.row(0).read().state == State.FINISHED
    endless = Tuned(plan, [(500, {"duration_ns": None})])
    endless.run(5000)
    assert len(endless.lines) == 250


def test_new_labels_begin_new_series() -> None:
    """Lines have them from the named tick on; values of the series before are no longer shown as the newest."""
    plan = entry_plan(rate=10.0, duration_ns=NS, generator=Step(step_size=1.0), labels={"zone": "a"})
    tuned = Tuned(plan, [(450, {"labels": {"zone": "b"}})])
    tuned.run(480)
    assert [b'zone="b"' in line for line in tuned.lines] == [False] * 5
    assert CurrentValues(tuned.board.row(0).view, tuned.plans[-1]).newest() == []
    kept = tuned.checkpoints.read(0)
    tuned.run(None, Resume(checkpoint=kept, fills=True))
    assert [b'zone="b"' in line for line in tuned.lines] == [False] * 5 + [True] * 5
    assert CurrentValues(tuned.board.row(0).view, tuned.plans[-1]).newest() == [(("x", (("zone", "b"),)), 9.0)]


GATE = GatePlan(scenario_name=None, ref="up", op=">", value=1.0)


def test_a_paused_entry_is_changed_before_its_next_tick() -> None:
    """Nothing fires meanwhile; when its gate opens it goes on with the next number, at the new rate."""
    plan = entry_plan(rate=10.0, duration_ns=9 * NS, generator=Step(step_size=1.0), gate=GATE)
    tuned = Tuned(plan, [(1000, {"rate": 50.0, "generator": Step(step_size=2.0)})])
    upstream = Links(tuned.board.descriptor, 1).watchers
    upstream.publish(2.0, tuned.clock.now_ns - 1)
    tuned.links.upstream.follow(UPSTREAM_ROW)
    kept = tuned.run(450)
    upstream.publish(0.0, tuned.clock.now_ns)
    tuned.links = Links(tuned.board.descriptor, 0)
    tuned.links.upstream.follow(UPSTREAM_ROW)
    kept = tuned.run(1500, Resume(checkpoint=kept))
    (held,) = tuned.held
    assert (held.tick, held.stamp_ns) == (5, None)
    upstream.publish(2.0, tuned.clock.now_ns)
    tuned.links = Links(tuned.board.descriptor, 0)
    tuned.links.upstream.follow(UPSTREAM_ROW)
    tuned.run(1600, Resume(checkpoint=kept))
    assert tuned.series[5:] == [(5 + 2 * place, 1500 + 20 * place) for place in range(5)]


def test_an_entry_is_changed_before_it_has_begun() -> None:
    """While it waits for its start the named tick is the first, and due when it was."""
    plan = entry_plan(rate=10.0, duration_ns=NS, phase_offset_ns=500 * MS, generator=Step(step_size=1.0))
    tuned = Tuned(plan, [(100, {"rate": 20.0})])
    tuned.run()
    assert [(held.tick, (held.stamp_ns or 0) - tuned.start.wall_ns) for held in tuned.held] == [(0, 500 * MS)]
    assert tuned.series == [(place, 500 + 50 * place) for place in range(20)]


def test_checkpoints_of_a_version_before_changes_are_read() -> None:
    """Their records are shorter; what is missing reads as never changed."""
    checkpoints = Checkpoints(1)
    writer = CheckpointWriter(checkpoints.descriptor, 0)
    writer.save(Counters(total_events=7, next_tick=8, hole_ticks=3, cycle_shift_ns=5))
    writer._records.close(struct.calcsize("=QqqQQQQQqd??xxxxxxQQQQQQQQqQQQQQQQqqQQQ"))
    kept = checkpoints.read(0)
    assert kept is not None
    assert (kept.counters.total_events, kept.counters.next_tick, kept.counters.cycle_shift_ns) == (7, 8, 0)
    assert kept.counters.hole_ticks == 3


@pytest.mark.parametrize("new_rate", [5.0, 20.0, 80.0])
def test_what_each_tick_has_added_joins_over_a_change(new_rate: float) -> None:
    """Of `temporality: delta` every point begins where the one before ends, and what they say adds up."""
    fields = {"metric_type": "counter", "encoder": OtlpEncoder(temporality="delta")}
    plan = entry_plan(rate=20.0, duration_ns=2 * NS, generator=Step(step_size=1.0), **fields)
    tuned = Tuned(plan, [(730, {"rate": new_rate, "generator": Step(step_size=3.0)})])
    tuned.run()
    points = [Metric.FromString(frame).sum.data_points[0] for frame in frames_of(tuned.sink.payload)]
    (held,) = tuned.held
    assert [point.as_double for point in points] == [0.0] + [1.0] * held.tick + [3.0] * (len(points) - held.tick - 1)
    for before, point in pairwise(points):
        assert point.start_time_unix_nano == before.time_unix_nano
