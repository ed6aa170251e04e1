"""What entries would emit, computed without emitting: the same values at the same instants as the run itself has."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.messages import Curve, Preview
from common.plan import Burst, Cycle, EntryPlan, Histogram, Silence, Summary, TickShare
from common.specs import Constant, Normal, OtlpEncoder, RemoteWriteEncoder, Sine, Step
from tests.support.http_app import FixedClock
from tests.support.plans import entry_plan
from worker.generators import build
from worker.preview import preview
from worker.ticks.schedule import NEVER_NS, Schedule

SEC = 1_000_000_000
CLOCK = FixedClock(since_epoch_ns=1_700_000_000 * SEC)


def curve_of(plan: EntryPlan, secs: float = 10.0, points: int = 20) -> Curve:
    (curve,) = preview(Preview(entries=(plan,), horizon_ns=round(secs * SEC), points=points), CLOCK)
    return curve


def run_of(plan: EntryPlan, secs: float) -> dict[int, float]:
    """The values of a whole run, by the instant on the body's clock in ns: every tick in order, as a runner does it."""
    schedule, generator = Schedule(plan, 0), build(plan)
    begin_ns = plan.phase_offset_ns - plan.backfill_ns
    until_ns, cursor, found = round(secs * SEC) - begin_ns, schedule.start, {}
    while True:
        span, cursor = schedule.take(cursor, until_ns, NEVER_NS, 64)
        if span is None:
            return found
        values = generator.values(span.first_tick, len(span.stamps_ns))
        for stamp_ns, row in zip(span.stamps_ns.tolist(), values, strict=True):
            if stamp_ns + begin_ns > secs * SEC:
                return found
            found[stamp_ns + begin_ns] = float(row[-2] if np.ndim(row) else row)


def at(curve: Curve) -> Sequence[tuple[int, float]]:
    """The points of a curve that have values."""
    pairs = zip(curve.secs, curve.values, strict=True)
    return [(round(secs * SEC), value) for secs, value in pairs if value is not None]


cycles = st.builds(
    lambda every, share: Cycle(every_ns=every, for_ns=max(every * share // 100, 1)),
    st.integers(SEC // 2, 4 * SEC),
    st.integers(5, 90),
)


@given(
    rate=st.sampled_from([0.1, 0.7, 3.0, 50.0]),
    duration=st.none() | st.integers(SEC, 12 * SEC),
    offset=st.sampled_from([0, SEC // 3, 4 * SEC]),
    backfill=st.sampled_from([0, 3 * SEC]),
    gaps=st.none() | cycles,
    bursts=st.none() | st.builds(lambda cycle: Burst(cycle=cycle, multiplier=3.0), cycles),
    windows=st.sampled_from([(), (Silence(start_ns=2 * SEC, end_ns=5 * SEC),)]),
    share=st.none() | st.sampled_from([(2, (0,)), (7, (1, 4, 5))]),
)
def test_points_are_ticks_of_the_run(
    rate: float,
    duration: int | None,
    offset: int,
    backfill: int,
    gaps: Cycle | None,
    bursts: Burst | None,
    windows: tuple[Silence, ...],
    share: tuple[int, tuple[int, ...]] | None,
) -> None:
    """Every point that has a value is a tick of the run, with its value; silences are points without one."""
    plan = entry_plan(
        generator=Sine(amplitude=3.0, period_secs=7.0, offset=1.0),
        rate=rate,
        duration_ns=None if duration is None else duration + backfill,
        phase_offset_ns=offset,
        backfill_ns=backfill,
        gaps=gaps,
        bursts=bursts,
        gap_windows=windows,
        share=share and TickShare(period=share[0], residues=np.array(share[1], "<i4").tobytes()),
    )
    curve = curve_of(plan)
    run = run_of(plan, 60.0)
    shown = at(curve)
    assert list(curve.secs) == sorted(curve.secs)
    assert len(curve.secs) <= 21
    assert {instant: run.get(instant) for instant, _ in shown} == dict(shown)
    if not gaps and not windows:
        assert None not in curve.values
    ends = [tick for tick in run if tick >= 0]
    assert bool(shown) or None in curve.values or not ends or min(ends) > 10 * SEC


@pytest.mark.parametrize("kind", [Histogram, Summary])
def test_observations_are_shown_by_their_mean(kind: Any) -> None:
    """The mean of exactly the observations that the tick will have, however many ticks lie between two points."""
    fields = {"buckets": (1.0, 2.0)} if kind is Histogram else {"quantiles": (0.5,)}
    generator = kind(
        distribution=Normal(mean=5.0, stddev=1.0), observations_per_tick=50, mean_shift_per_sec=0.1, seed=3, **fields
    )
    signal = "histogram" if kind is Histogram else "summary"
    plan = entry_plan(signal_type=signal, generator=generator, rate=4.0, gaps=Cycle(every_ns=3 * SEC, for_ns=SEC))
    sums = run_of(plan, 20.0)
    instants = sorted(sums)
    before = dict(zip(instants[1:], instants, strict=False))
    curve = curve_of(plan)
    assert curve.kind == "mean"
    shown = at(curve)
    assert len(shown) > 10
    for instant, mean in shown:
        total = sums[instant] - (sums[before[instant]] if instant in before else 0.0)
        assert mean == pytest.approx(total / 50, rel=1e-9)


def test_logs_are_shown_by_their_rate() -> None:
    """Events per second since the point before; a silence is a rate of nothing."""
    plan = entry_plan(signal_type="logs", rate=8.0, gap_windows=(Silence(start_ns=4 * SEC, end_ns=6 * SEC),))
    curve = curve_of(plan, 10.0, 10)
    assert curve.kind == "rate"
    assert curve.secs == tuple(float(second) for second in range(1, 11))
    assert curve.values == (8.0, 8.0, 8.0, 8.0, 0.0, 0.0, 8.0, 8.0, 8.0, 8.0)


def test_a_value_that_is_no_number_has_no_point() -> None:
    """Infinities and NaN are nothing that JSON or a plot can show."""
    assert set(curve_of(entry_plan(generator=Constant(value=float("inf")))).values) == {None}


def test_the_first_events_are_shown_as_they_will_be_written() -> None:
    """Three of them, with stamps from now on; encoders of bytes have no lines."""
    plan = entry_plan(name="up", rate=1.0, generator=Step(start=0.0, step_size=2.0), phase_offset_ns=5 * SEC)
    assert curve_of(plan).lines == ("up 0 1700000005000", "up 2 1700000006000", "up 4 1700000007000")
    for encoder in (RemoteWriteEncoder(), OtlpEncoder()):
        assert curve_of(entry_plan(encoder=encoder)).lines == ()
    assert curve_of(entry_plan(signal_type="logs")).lines == (), "this encoder has no logs"


class SlowClock(FixedClock):
    """A hundredth of a second passes with every look."""

    def monotonic_ns(self) -> int:
        self.now_ns += SEC // 100
        return self.now_ns


def test_what_takes_too_long_is_left_out() -> None:
    """A second in all, looked at between points and between entries; a curve is whole or not there."""
    asked = Preview(entries=(entry_plan(),) * 5, horizon_ns=10 * SEC, points=20)
    curves = preview(asked, SlowClock())
    assert 1 <= len(curves) < 5
    assert [len(curve.secs) for curve in curves] == [11] * len(curves)


@pytest.mark.parametrize("signal", ["metrics", "logs"])
def test_countless_windows_are_given_up(signal: str) -> None:
    """A day of silences of a microsecond would take a day to pass; it is given up in a second."""
    plan = entry_plan(signal_type=signal, rate=1e6, gaps=Cycle(every_ns=1000, for_ns=10))
    assert preview(Preview(entries=(plan,), horizon_ns=86_400 * SEC, points=20), SlowClock()) == ()


def test_what_never_fires_has_neither_points_nor_lines() -> None:
    """The ticks of this segment come at 10 s, 30 s and so on, and for years each of them lies in a gap."""
    gaps = Cycle(every_ns=SEC // 2 + 1, for_ns=SEC // 4)
    curve = curve_of(
        entry_plan(rate=0.1, gaps=gaps, share=TickShare(period=2, residues=np.array([1], "<i4").tobytes()))
    )
    assert set(curve.values) <= {None}
    assert curve.lines == ()
