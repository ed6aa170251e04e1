"""The tick engine against a model that goes tick by tick, and tables of due ticks."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from math import ceil

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common.plan import Burst, Cycle, EntryPlan, LabelSpike, ReplayColumn, Silence, TickShare
from common.specs import Constant, Memory, PrometheusText
from tests.support.reference_schedule import NearHalfError, ReferenceSchedule, Tick
from worker.ticks.batch import BATCH_EVENTS
from worker.ticks.cursor import Cursor
from worker.ticks.schedule import Schedule, Span
from worker.ticks.stretch import Stretch

NS = 1_000_000_000
MS = 1_000_000
ANCHOR_NS = 1_700_000_000 * NS


def entry(rate: float, duration_ns: int | None = None, **fields: object) -> EntryPlan:
    return EntryPlan(
        id=None,
        name="up",
        rate=rate,
        duration_ns=duration_ns,
        **{"generator": Constant(value=1.0)} | fields,  # type: ignore[arg-type]
        labels={},
        encoder=PrometheusText(),
        sink=Memory(),
    )


class Position:
    """A schedule and where its run stands."""

    def __init__(self, plan: EntryPlan, anchor_ns: int = ANCHOR_NS) -> None:
        self.schedule = Schedule(plan, anchor_ns)
        self.plan = plan
        self.cursor = self.schedule.start

    @property
    def deadline_ns(self) -> int:
        return self.schedule.deadline_ns(self.cursor)

    @property
    def in_gap(self) -> bool:
        return self.cursor.in_gap

    def take(self, now_ns: int, grace_ns: int, limit: int) -> Span | None:
        span, self.cursor = self.schedule.take(self.cursor, now_ns, grace_ns, limit)
        return span

    def begin_segment(self, at_ns: int) -> None:
        self.cursor = self.schedule.begin_segment(self.cursor, at_ns)

    def end_segment(self, at_ns: int) -> None:
        self.cursor = self.schedule.end_segment(self.cursor, at_ns)

    def move_house(self) -> None:
        """Go on with a schedule made again, from what of the position can be written down."""
        self.schedule = Schedule(self.plan, self.schedule.anchor_ns)
        self.cursor = msgspec.msgpack.decode(msgspec.msgpack.encode(self.cursor), type=Cursor)


def taken(position: Position, now_ns: int, grace_ns: int = 0, limit: int = BATCH_EVENTS) -> list[Tick]:
    """Every tick that is due at `now_ns`."""
    ticks: list[Tick] = []
    while (span := position.take(now_ns, grace_ns, limit)) is not None:
        assert 0 < len(span.stamps_ns) <= limit
        ticks += [
            Tick(span.first_tick + i, stamp - ANCHOR_NS, span.spike_mask, span.in_burst)
            for i, stamp in enumerate(span.stamps_ns.tolist())
        ]
    return ticks


def run_on_time(plan: EntryPlan) -> list[Tick]:
    """The whole run, woken at every deadline the schedule asks for."""
    position = Position(plan)
    ticks = taken(position, 0)
    while position.deadline_ns < (plan.duration_ns or 0):
        ticks += taken(position, position.deadline_ns)
    return ticks


def numbers(ticks: Sequence[Tick]) -> list[int]:
    return [tick.number for tick in ticks]


def windows(*pairs: tuple[int, int]) -> tuple[Silence, ...]:
    return tuple(Silence(start_ns=at * MS, end_ns=(at + length) * MS) for at, length in pairs)


def cycle(every_ms: int, for_ms: int) -> Cycle:
    return Cycle(every_ns=every_ms * MS, for_ns=for_ms * MS)


def spike(every_ms: int, for_ms: int) -> LabelSpike:
    return LabelSpike(key="k", cycle=cycle(every_ms, for_ms), cardinality=3, prefix="k_", strategy="counter", seed=0)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"gap_windows": windows((200, 400))}, [0, 3, 4, 5, 6]),
        ({"gap_windows": windows((200, 200), (400, 400))}, [0, 4, 5, 6]),
        ({"gap_windows": windows((0, 400))}, [2, 3, 4, 5, 6]),
        ({"gap_windows": windows((200, 300))}, [0, 3, 4, 5, 6]),
        ({"gaps": cycle(600, 400)}, [0, 3, 6]),
    ],
)
def test_silences_skip_the_ticks_that_lie_in_them(fields: dict[str, object], expected: list[int]) -> None:
    """Ladders of values at rate 5 for 1.3 s: suppressed ticks are counted, the next is at its own slot."""
    assert numbers(run_on_time(entry(5.0, 1300 * MS, **fields))) == expected


def test_a_late_tick_is_fired_late_unless_its_own_place_is_silent() -> None:
    """Window 600 ms + 400 ms, the sink blocks 600 ms in the second write: ticks 0 1 2 5 6, tick 2 late."""
    position = Position(entry(5.0, 1300 * MS, gap_windows=windows((600, 400))))
    assert numbers(taken(position, 0)) == [0]
    assert numbers(taken(position, 200 * MS)) == [1]
    assert numbers(taken(position, 800 * MS)) == [2]
    assert position.in_gap
    assert position.deadline_ns == 1000 * MS
    assert numbers(taken(position, 1000 * MS)) == [5]
    assert numbers(taken(position, 1200 * MS)) == [6]


def test_a_burst_before_a_silence_never_moves_the_tick_number_back() -> None:
    """Rate 1, burst ×5 in the first second, window 1 s + 500 ms: 0 1 2 3 4 at 0…0.8 s, 5 at 2 s, 6 at 3 s."""
    plan = entry(1.0, 6 * NS, bursts=Burst(cycle=cycle(60_000, 1000), multiplier=5.0), gap_windows=windows((1000, 500)))
    ticks = run_on_time(plan)
    assert [(tick.number, tick.offset_ns // MS) for tick in ticks] == [
        *((k, k * 200) for k in range(5)),
        *((k, (k - 3) * 1000) for k in range(5, 9)),
    ]
    assert [tick.in_burst for tick in ticks] == [True] * 5 + [False] * 4


def test_window_boundaries() -> None:
    """Every 8 s for 3 s: the start is inside, the end outside, a burst at the head and a gap at the tail."""
    gapped = {tick.offset_ns // MS for tick in run_on_time(entry(1000.0, 9 * NS, gaps=cycle(8000, 3000)))}
    bursts = run_on_time(entry(1000.0, 9 * NS, bursts=Burst(cycle=cycle(8000, 3000), multiplier=2.0)))
    bursting = {tick.offset_ns: tick.in_burst for tick in bursts}
    assert [place_ms in gapped for place_ms in (0, 3000, 4999, 5000, 8000)] == [True, True, True, False, True]
    assert [bursting[place_ms * MS] for place_ms in (0, 3000, 4999, 5000, 8000)] == [True, False, False, False, True]


@given(rate=st.integers(1, 20_000), duration_ms=st.integers(1, 3000))
def test_the_number_of_ticks_is_exact(rate: int, duration_ms: int) -> None:
    """A run without windows fires ceil(rate · duration) ticks, tick k on the nanosecond nearest to k/rate."""
    position = Position(entry(float(rate), duration_ms * MS), 0)
    stamps: list[int] = []
    while not stamps or position.deadline_ns < duration_ms * MS:
        while (span := position.take(position.deadline_ns + 250_000, MS, BATCH_EVENTS)) is not None:
            assert span.first_tick == len(stamps)
            stamps += span.stamps_ns.tolist()
    assert len(stamps) == ceil(rate * duration_ms / 1000)
    assert all(abs(stamp * rate - k * NS) * 2 <= rate for k, stamp in enumerate(stamps))


def test_a_tick_on_the_end_is_no_part_of_the_run() -> None:
    """rate 0.1 for 10 s is one tick, though 0.1 as a double is a little more than a tenth."""
    assert numbers(run_on_time(entry(0.1, 10 * NS))) == [0]


def test_the_run_ends_at_its_duration_and_not_at_the_last_tick() -> None:
    """After the last tick the schedule asks for the end; nothing is due there."""
    position = Position(entry(0.5, 5 * NS))
    assert numbers(taken(position, 4 * NS)) == [0, 1, 2]
    assert position.deadline_ns == 5 * NS
    assert taken(position, 5 * NS) == []


def test_a_gap_that_reaches_past_the_end_does_not_delay_it() -> None:
    """in_gap is shown from the gap's start, and the next deadline is the end of the run."""
    position = Position(entry(10.0, 1000 * MS, gaps=cycle(2000, 1500)))
    assert numbers(taken(position, 499 * MS)) == [0, 1, 2, 3, 4]
    assert (position.in_gap, position.deadline_ns) == (False, 500 * MS)
    assert taken(position, 500 * MS) == []
    assert (position.in_gap, position.deadline_ns) == (True, 1000 * MS)


def test_catching_up_has_no_cap() -> None:
    """After a stall of ten seconds at 10 000/s every missed tick is due at once."""
    assert len(taken(Position(entry(10_000.0)), 10 * NS)) == 100_001


def test_overdue_ticks_are_dropped_inside_a_periodic_gap() -> None:
    """A run that stalls into a gap goes on at the first slot behind it."""
    position = Position(entry(10.0, gaps=cycle(1000, 500)))
    assert numbers(taken(position, 0)) == [0]
    assert taken(position, 700 * MS, grace_ns=20 * MS) == []
    assert position.in_gap
    assert numbers(taken(position, 1000 * MS)) == [10]


def test_a_wake_up_that_is_late_by_design_loses_nothing_at_a_gap_or_at_the_end() -> None:
    """Ticks later than due by no more than the grace are fired though the gap has begun or the run is over."""
    position = Position(entry(1000.0, 1500 * MS, gaps=cycle(1000, 500)))
    assert len(taken(position, 510 * MS, grace_ns=600 * MS)) == 500
    assert len(taken(position, 1505 * MS, grace_ns=600 * MS)) == 500


def test_ticks_not_fired_when_the_run_is_over_are_dropped() -> None:
    """A stall that reaches past the end is not made up for."""
    position = Position(entry(1000.0, 1000 * MS))
    assert len(taken(position, 400 * MS)) == 401
    assert taken(position, 1100 * MS, grace_ns=20 * MS) == []
    assert taken(position, 9000 * MS, grace_ns=20 * MS) == []


@pytest.mark.parametrize("rate", [1e-300, 1e-9, 1e12, 1e300])
def test_absurd_rates_are_served(rate: float) -> None:
    """The slowest fire their first tick and wait, the fastest give full batches of never decreasing stamps."""
    position = Position(entry(rate))
    span = position.take(1000, 0, BATCH_EVENTS)
    assert span is not None
    assert span.first_tick == 0
    assert len(span.stamps_ns) == (1 if rate < 1 else BATCH_EVENTS)
    assert (span.stamps_ns[1:] >= span.stamps_ns[:-1]).all()


def test_large_spans_have_the_stamps_of_single_ticks() -> None:
    """However many blocks a span goes through, and wherever in one it begins."""
    single = taken(Position(entry(1e7 / 3)), 4 * MS, 4 * MS, limit=1)
    for first in (0, 1, 1023, 1024, 3000):
        large = Position(entry(1e7 / 3))
        if first:
            large.take(4 * MS, 4 * MS, first)
        ticks = taken(large, 4 * MS, 4 * MS)
        assert len(ticks) > 2 * BATCH_EVENTS
        assert ticks == single[first:]


def test_a_limit_cuts_spans() -> None:
    """No span is longer than asked for."""
    assert numbers(taken(Position(entry(100.0)), 50 * MS, limit=2)) == [0, 1, 2, 3, 4, 5]


durations_us = st.integers(1, 3_000_000)


@st.composite
def cycles(draw: st.DrawFn) -> Cycle:
    every = draw(st.integers(2, 3_000_000))
    return Cycle(every_ns=every * 1000, for_ns=draw(st.integers(1, every - 1)) * 1000)


@st.composite
def plans(draw: st.DrawFn) -> EntryPlan:
    rate = draw(st.one_of(st.integers(1, 400).map(float), st.floats(0.05, 400, allow_nan=False)))
    silences = draw(st.lists(st.tuples(st.integers(0, 3_000_000), durations_us), max_size=3))
    return entry(
        rate,
        draw(st.none() | durations_us.map(lambda us: us * 1000)),
        gaps=draw(st.none() | cycles()),
        gap_windows=tuple(Silence(start_ns=at * 1000, end_ns=(at + length) * 1000) for at, length in silences),
        generator=draw(st.sampled_from([Constant(value=1.0), ReplayColumn(values=bytes(8), repeat=True)])),
        bursts=draw(st.none() | st.builds(Burst, cycle=cycles(), multiplier=st.floats(0.2, 5))),
        cardinality_spikes=tuple(
            LabelSpike(key="k", cycle=c, cardinality=3, prefix="k_", strategy="counter", seed=0)
            for c in draw(st.lists(cycles(), max_size=2))
        ),
    )


@given(
    plan=plans(),
    steps_us=st.lists(st.integers(0, 700_000), min_size=1, max_size=12),
    grace_ns=st.sampled_from([0, 1000, 20 * MS, 10 * NS]),
    limits=st.lists(st.integers(1, BATCH_EVENTS), min_size=1, max_size=4),
    moves=st.booleans(),
)
def test_every_run_equals_the_model(
    plan: EntryPlan, steps_us: list[int], grace_ns: int, limits: list[int], moves: bool
) -> None:
    """Whatever windows, wake-ups, cuts into spans and moves elsewhere: ticks, stamps, masks, flags are the model's."""
    position, model = Position(plan), ReferenceSchedule(plan)
    now = 0
    for i, step in enumerate(steps_us):
        now += step * 1000
        try:
            expected = list(model.fire_due(now, grace_ns))
        except NearHalfError:
            assume(False)
        if moves:
            position.move_house()
        assert taken(position, now, grace_ns, limits[i % len(limits)]) == expected
        assert position.in_gap == model.in_gap
        assert position.deadline_ns > now or model.over


@given(
    plan=plans(),
    steps_us=st.lists(st.tuples(st.integers(0, 500_000), st.none() | st.integers(0, 700_000)), min_size=1, max_size=8),
)
def test_every_run_with_pauses_equals_the_model(plan: EntryPlan, steps_us: list[tuple[int, int | None]]) -> None:
    """Numbers are frozen in a pause, stamps are not; cycles start again with a segment, one-shot silences do not."""
    position, model = Position(plan), ReferenceSchedule(plan)
    now = 0
    for step, pause in steps_us:
        now += step * 1000
        try:
            expected = list(model.fire_due(now, 0))
            in_gap = model.in_gap
            if pause is not None:
                model.end_segment(now)
        except NearHalfError:
            assume(False)
        assert taken(position, now) == expected
        assert position.in_gap == in_gap
        if pause is not None:
            position.move_house()
            position.end_segment(now)
            position.move_house()
            now += pause * 1000
            for one in (position, model):
                one.begin_segment(now)


def test_the_silence_of_a_row_stays_with_its_row() -> None:
    """Rows 2 and 3 are blank: they are passed over whatever a pause before them did to the time."""
    column = ReplayColumn(values=bytes(80), repeat=False)
    position = Position(entry(10.0, generator=column, gap_windows=windows((150, 200))))
    assert numbers(taken(position, 100 * MS)) == [0, 1]
    position.end_segment(120 * MS)
    position.begin_segment(1000 * MS)
    assert (taken(position, 1150 * MS), position.in_gap) == ([], True)
    assert numbers(taken(position, 1300 * MS)) == [4, 5]


@given(plan=plans())
def test_waking_at_the_deadlines_is_enough(plan: EntryPlan) -> None:
    """Ticks are never due before the instant the schedule asked to be woken at, and always due there or in a gap."""
    position = Position(plan)
    taken(position, 0)
    for _ in range(50):
        deadline = position.deadline_ns
        if deadline == plan.duration_ns:
            break
        assert taken(position, deadline - 1) == []
        assert position.deadline_ns == deadline
        assert taken(position, deadline) or position.in_gap


FAR_NS = 1 << 62


@given(
    plan=plans(),
    pause_us=st.none() | st.tuples(st.integers(0, 900_000), st.integers(0, 900_000)),
    run_us=st.integers(1, 1_500_000),
    cut=st.floats(0, 1),
    skip_us=st.integers(0, 2_000_000),
)
def test_a_run_is_found_again_by_its_segment_and_tick_and_goes_on_where_the_clock_is(
    plan: EntryPlan, pause_us: tuple[int, int] | None, run_us: int, cut: float, skip_us: int
) -> None:
    """What was taken and what is skipped are the ticks that would have been taken; the rest is the same to the end."""
    position = Position(plan)
    begin_ns, first_tick = 0, 0
    if pause_us is not None:
        taken(position, pause_us[0] * 1000, FAR_NS)
        position.end_segment(pause_us[0] * 1000)
        begin_ns, first_tick = sum(pause_us) * 1000, position.cursor.tick
        position.begin_segment(begin_ns)
    ticks = taken(position, begin_ns + run_us * 1000, FAR_NS)
    written = round(cut * len(ticks))
    next_tick = ticks[written - 1].number + 1 if written else first_tick

    again = Position(plan)
    again.cursor = again.schedule.seek(begin_ns, first_tick, next_tick)
    found_at = again.cursor
    assert taken(again, begin_ns + run_us * 1000, FAR_NS) == ticks[written:]

    now = begin_ns + skip_us * 1000
    again.cursor = found_at
    expected = [tick for tick in taken(again, now + NS, FAR_NS) if tick.offset_ns >= now]
    passed = len([tick for tick in ticks if tick.offset_ns < now])
    skipped, again.cursor = again.schedule.skip(found_at, now)
    assert taken(again, now + NS, FAR_NS) == expected
    if skip_us <= run_us:
        assert skipped == max(passed - written, 0)


@given(
    plan=plans(),
    residues=st.integers(1, 12).flatmap(
        lambda period: st.lists(st.integers(0, period - 1), unique=True).map(lambda some: (period, sorted(some)))
    ),
    steps_us=st.lists(st.tuples(st.integers(0, 500_000), st.none() | st.integers(0, 700_000)), min_size=1, max_size=6),
    limits=st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_the_ticks_of_shares_are_those_of_the_whole(
    plan: EntryPlan,
    residues: tuple[int, list[int]],
    steps_us: list[tuple[int, int | None]],
    limits: list[int],
) -> None:
    """Each is fired by the share that its number belongs to, with the same instant, spikes and bursts; and skipped."""
    period, some = residues
    rest = sorted(set(range(period)) - set(some))
    shares = [Position(shared(plan, period, own)) for own in (some, rest) if own]
    position = Position(plan)
    now = 0
    for i, (step, pause) in enumerate(steps_us):
        now += step * 1000
        expected = taken(position, now, FAR_NS)
        found = []
        for share in shares:
            begin = share.cursor
            ticks = taken(share, now, FAR_NS, limits[i % len(limits)])
            assert share.schedule.skip(begin, now + 1)[0] == len(ticks)
            found += [replace(tick, number=share.schedule.tick(tick.number)) for tick in ticks]
        assert sorted(found, key=lambda tick: tick.number) == expected
        if pause is not None:
            for one in (position, *shares):
                one.end_segment(now + 1)
                one.begin_segment(now + 1 + pause * 1000)
            now += 1 + pause * 1000
        assert {share.cursor.segment_tick for share in shares} == {position.cursor.segment_tick}


def test_a_segment_that_ends_in_a_silence_leaves_every_share_at_the_tick_of_the_whole() -> None:
    """Also where the next tick of a slow burst comes after the end, so that only the silence has begun."""
    bursts = Burst(cycle=Cycle(every_ns=2000, for_ns=1000), multiplier=0.5)
    plan = entry(187.0, bursts=bursts, gap_windows=(Silence(start_ns=1000, end_ns=10_696_000),))
    for one in (Position(plan), Position(shared(plan, 1, [0]))):
        assert numbers(taken(one, 5_348_000, FAR_NS)) == [0]
        one.end_segment(5_348_001)
        assert one.cursor.tick == 2


@given(rate=st.floats(1, 1e9), first=st.integers(0, 2**30), strides=st.lists(st.integers(1, 10**7), max_size=40))
def test_offsets_of_some_ticks_are_those_of_each(rate: float, first: int, strides: list[int]) -> None:
    """To the nanosecond, however far apart they are."""
    places = list(accumulate(strides, initial=first))
    stretch = Stretch(Fraction(1, 3), NS / Fraction(rate))
    assert stretch.offsets_at(np.array(places), 5).tolist() == [stretch.offset(place) + 5 for place in places]


def shared(plan: EntryPlan, period: int, residues: list[int]) -> EntryPlan:
    """An entry of which the ticks with these residues are fired."""
    return msgspec.structs.replace(
        plan, share=TickShare(period=period, residues=np.array(residues, dtype="<i4").tobytes())
    )


def test_years_are_skipped_at_once() -> None:
    """A run is not walked tick by tick: a hole may be long, and nobody waits for it."""
    schedule = Schedule(entry(1e6), ANCHOR_NS)
    year_ns = 365 * 86_400 * NS
    skipped, cursor = schedule.skip(schedule.start, 10 * year_ns)
    assert skipped == cursor.tick == 10 * 365 * 86_400 * 1_000_000
    assert schedule.seek(0, 0, cursor.tick) == cursor
