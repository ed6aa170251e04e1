"""From due ticks to events: the same whatever is encoded ahead, given back, or gone on with elsewhere."""

import collections.abc
import gc
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import worker.encoders
import worker.generators
from common.plan import (
    Burst,
    Cycle,
    EntryPlan,
    GeneratorPlan,
    Histogram,
    LabelSpike,
    ReplayColumn,
    ReplayRows,
    Silence,
    Summary,
)
from common.specs import (
    Constant,
    Exponential,
    Flap,
    JsonLines,
    LogTemplate,
    OtlpEncoder,
    PrometheusText,
    Sawtooth,
    Sequence,
    Sine,
    Spike,
    Step,
    Template,
    Uniform,
)
from tests.support.entries import generators
from tests.support.plans import entry_plan, label_spike
from worker.ticks.batch import BATCH_EVENTS, Batch, Encoded
from worker.ticks.cursor import Cursor
from worker.ticks.production import Production
from worker.ticks.schedule import Schedule

MS = 1_000_000
ANCHOR_NS = 1_700_000_000 * 1000 * MS
MOST_NEW_OBJECTS = 30
"""Fewer than one for each time that ticks are encoded ahead."""

REPLAY = ReplayColumn(values=bytes(range(160)), repeat=True)


@st.composite
def cycles(draw: st.DrawFn) -> Cycle:
    every = draw(st.integers(2, 2000))
    return Cycle(every_ns=every * MS, for_ns=draw(st.integers(1, every - 1)) * MS)


plans = st.builds(
    lambda **fields: entry_plan(duration_ns=5000 * MS, **fields),
    rate=st.sampled_from([0.7, 3.0, 100.0, 400.0, 1999.5]),
    generator=generators | st.just(REPLAY),
    jitter=st.sampled_from([0.0, 0.5]),
    metric_type=st.just("counter"),
    encoder=st.sampled_from([PrometheusText(), OtlpEncoder(temporality="delta")]),
    gaps=st.none() | cycles(),
    bursts=st.none() | st.builds(Burst, cycle=cycles(), multiplier=st.sampled_from([0.3, 2.0, 7.0])),
    gap_windows=st.lists(
        st.builds(lambda at, length: Silence(start_ns=at * MS, end_ns=(at + length) * MS), *2 * [st.integers(1, 1500)]),
        max_size=2,
    ).map(tuple),
    cardinality_spikes=st.lists(
        st.builds(
            LabelSpike,
            key=st.just("k"),
            cycle=cycles(),
            cardinality=st.just(3),
            prefix=st.just("k_"),
            strategy=st.just("counter"),
            seed=st.just(0),
        ),
        max_size=1,
    ).map(tuple),
)


def begun(plan: EntryPlan, *, looks_ahead: bool, most_ticks: int | None = None, **fields: Any) -> Production:
    return Production(
        Schedule(plan, ANCHOR_NS),
        worker.generators.build(plan),
        worker.encoders.build(plan),
        worker.generators.most_ticks(plan) if most_ticks is None else most_ticks,
        looks_ahead=looks_ahead,
        looks_back=plan.encoder.looks_back,
        **fields,
    )


def written(production: Production, now_ns: int) -> bytes:
    """Everything due at `now_ns`, and what comes next is encoded ahead."""
    payload = b""
    while (events := production.take(now_ns, 20 * MS)) is not None:
        payload += events.encoded.payload
    production.look_ahead()
    return payload


def moved(production: Production, plan: EntryPlan) -> Production:
    """The same run, gone on with elsewhere from what of its position can be written down."""
    text = msgspec.json.encode(production.cursor)
    elsewhere = begun(plan, looks_ahead=True)
    elsewhere.move_to(msgspec.json.decode(text, type=Cursor))
    return elsewhere


@given(plan=plans, steps_us=st.lists(st.integers(0, 400_000), min_size=1, max_size=12), moves=st.data())
def test_a_run_goes_on_from_its_cursor(
    plan: EntryPlan, steps_us: collections.abc.Sequence[int], moves: st.DataObject
) -> None:
    """Moved elsewhere at any point, whatever was encoded ahead there: the same events, to the byte."""
    staying, moving = begun(plan, looks_ahead=False), begun(plan, looks_ahead=True)
    now_ns = 0
    for step in steps_us:
        now_ns += step * 1000
        assert written(moving, now_ns) == written(staying, now_ns)
        assert moving.deadline_ns == staying.deadline_ns
        assert moving.cursor == staying.cursor
        if moves.draw(st.booleans()):
            moving = moved(moving, plan)


def test_a_tick_that_is_never_due_is_not_encoded_ahead() -> None:
    """At one event in three centuries the second tick lies beyond every clock."""
    for rate in (1e-10, 1e-9, 1e-300):
        production = begun(entry_plan(rate=rate, generator=Constant(value=1.0)), looks_ahead=True)
        assert written(production, 0).count(b"\n") == 1
        for now_ns in range(1, 10):
            assert written(production, now_ns) == b""


class CountingEncoder:
    """Counts its calls."""

    def __init__(self, plan: EntryPlan) -> None:
        self.calls = 0
        self._encoder = worker.encoders.build(plan)

    def encode(self, batch: Batch) -> Encoded:
        self.calls += 1
        return self._encoder.encode(batch)


@pytest.mark.parametrize("late_ms", [0, 30, 400])
@pytest.mark.parametrize("rate", [100.0, 1000.0, 10_000.0, 50_000.0])
def test_ticks_of_a_wake_up_are_cut_from_a_block(rate: float, late_ms: int) -> None:
    """At every rate at which a wake-up has few ticks, in time and late: hundreds of ticks are encoded in one call."""
    plan = entry_plan(rate=rate, generator=Constant(value=1.0))
    encoder = CountingEncoder(plan)
    production = Production(
        Schedule(plan, ANCHOR_NS), worker.generators.build(plan), encoder, BATCH_EVENTS, looks_ahead=True
    )
    wake_ups = 2000
    spacing_ns = max(int(1e9 / rate), MS)
    lines = 0
    for number in range(wake_ups):
        lines += written(production, late_ms * MS + number * spacing_ns).count(b"\n")
    assert lines >= (wake_ups - 1) * spacing_ns * rate / 1e9 - 1
    assert encoder.calls <= 3 + lines / min(rate / 2, 256)


EVERY_GENERATOR: tuple[GeneratorPlan, ...] = (
    Constant(value=1.0),
    Uniform(min=0.0, max=1.0, seed=1),
    Sine(amplitude=1.0, period_secs=60.0, offset=0.0),
    Sawtooth(min=0.0, max=1.0, period_secs=60.0),
    Sequence(values=(1.0, 2.0)),
    Spike(baseline=0.0, magnitude=1.0, duration_secs=1.0, interval_secs=4.0),
    Step(step_size=1.0),
    Flap(),
    REPLAY,
    LogTemplate(templates=(Template(message="{user}", field_pools={"user": ("ada", "bob")}),), seed=1),
    ReplayRows(severities=b"\x02", messages=("up",), fields={}, repeat=True),
    Histogram(
        distribution=Exponential(rate=1.0),
        buckets=(1.0,),
        observations_per_tick=1,
        mean_shift_per_sec=0.0,
        seed=1,
    ),
    Summary(
        distribution=Exponential(rate=1.0),
        quantiles=(0.5,),
        observations_per_tick=1,
        mean_shift_per_sec=0.0,
        seed=1,
    ),
)
SIGNALS = {LogTemplate: "logs", ReplayRows: "logs", Histogram: "histogram", Summary: "summary"}
EVERY_WINDOW: tuple[dict[str, Any], ...] = (
    {"gaps": Cycle(every_ns=70 * MS, for_ns=20 * MS)},
    {"bursts": Burst(cycle=Cycle(every_ns=30 * MS, for_ns=10 * MS), multiplier=2.0)},
    {"gap_windows": tuple(Silence(start_ns=at * MS, end_ns=(at + 50) * MS) for at in range(0, 30_000, 100))},
    {"cardinality_spikes": (label_spike(Cycle(every_ns=30 * MS, for_ns=10 * MS)),)},
)


def test_every_generator_is_among_these() -> None:
    """A new kind of generator is measured as well."""
    built = worker.generators.BUILDERS.keys() | worker.generators.OBSERVERS.keys()
    assert {type(generator) for generator in EVERY_GENERATOR} == built


@pytest.mark.parametrize(
    ("generator", "windows"),
    [
        *((generator, {}) for generator in EVERY_GENERATOR),
        *((generator, windows) for windows in EVERY_WINDOW for generator in (Constant(value=1.0), REPLAY)),
    ],
    ids=lambda part: "".join(part) if isinstance(part, dict) else type(part).__name__,
)
def test_a_run_keeps_nothing_of_its_past(generator: GeneratorPlan, windows: dict[str, Any]) -> None:
    """However many ticks were fired, the same number of objects is there: at 20 ticks a wake-up, most encoded ahead."""
    signal = SIGNALS.get(type(generator), "metrics")
    encoder = JsonLines() if signal == "logs" else PrometheusText()
    plan = entry_plan(rate=4000.0, signal_type=signal, generator=generator, encoder=encoder, **windows)
    production = begun(plan, looks_ahead=signal in ("metrics", "logs"))

    def objects_after(start_ms: int) -> int:
        for now_ms in range(start_ms, start_ms + 1000, 5):
            written(production, now_ms * MS)
        # Whether events are encoded ahead at the end is chance.
        production.move_to(production.cursor)
        gc.collect()
        return sys.getallocatedblocks()

    before = objects_after(0)
    assert objects_after(1000) - before < MOST_NEW_OBJECTS


@pytest.mark.parametrize(
    ("ticks_per_request", "batches"),
    [
        (1, [1, 4095, 4096, 4096]),
        (1000, [1, 3999, 4000, 4000]),
        (300, [1, 3899, 3900, 3900]),
        (10_000, [1, 4096, 4096, 1807, 4096, 4096, 1808]),
    ],
)
def test_batches_end_with_requests(ticks_per_request: int, batches: list[int]) -> None:
    """At a multiple of what makes a request, or else of 1024, counted from the first, where one is in reach."""
    plan = entry_plan(rate=1e9, generator=Constant(value=1.0))
    production = begun(plan, looks_ahead=True, most_ticks=BATCH_EVENTS, ticks_per_request=ticks_per_request)
    taken = [production.take(10**12, 10**12) for _ in batches]
    assert [len(events.batch) for events in taken if events is not None] == batches


def test_batches_are_short_while_one_takes_long() -> None:
    """Behind a quick one they are large again."""
    plan = entry_plan(rate=1e9, generator=Constant(value=1.0))
    production = begun(plan, looks_ahead=True, most_ticks=BATCH_EVENTS)
    taken = [production.take(now_ms * MS, 10**12) for now_ms in (1000, 1001, 1201, 1401, 1402)]
    assert [len(events.batch) for events in taken if events is not None] == [1, 4095, 1024, 1024, 4096]
