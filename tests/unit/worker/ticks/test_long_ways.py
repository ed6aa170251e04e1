"""The tick engine where there are more windows than anyone can wait for: it is asked now and then whether to go on."""

from collections.abc import Callable
from fractions import Fraction

import pytest

from common.plan import Cycle, Silence
from tests.support.plans import entry_plan
from worker.long_work import Interrupted
from worker.ticks.cursor import Cursor, Quiet
from worker.ticks.schedule import NEVER_NS, Schedule
from worker.ticks.stretch import Stretch, period_ns
from worker.ticks.windows import Windows

NS = 1_000_000_000
YEAR_NS = 365 * 86_400 * NS


class Patience:
    """Runs out when it is asked the second time."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked == 2


@pytest.mark.parametrize(
    "way",
    [
        lambda schedule, start: schedule.skip(start, YEAR_NS),
        lambda schedule, start: schedule.seek(0, 0, YEAR_NS // 1000),
        lambda schedule, start: schedule.take(schedule.behind(start, 1), YEAR_NS, NEVER_NS, 1),
    ],
    ids=["skip", "seek", "take"],
)
def test_a_way_past_many_windows_is_given_up(way: Callable[[Schedule, Cursor], object]) -> None:
    """Ticks every second, of which only the first of a year is not in a gap."""
    patience = Patience()
    second = Cycle(every_ns=NS - 10, for_ns=NS - 15)
    schedule = Schedule(entry_plan(rate=1.0, gaps=second), 0, patience)
    with pytest.raises(Interrupted):
        way(schedule, schedule.start)
    assert patience.asked == 2


def test_windows_that_touch_are_one_silence() -> None:
    """However many they are, and wherever a tick lies in them: they are passed at once."""
    gaps = Cycle(every_ns=2000, for_ns=1000)
    silences = tuple(Silence(start_ns=at, end_ns=at + 1000) for at in range(4000, 20_000_000, 2000))
    plan = entry_plan(rate=1e6, gaps=gaps, gap_windows=silences)
    windows = Windows(plan, Stretch(Fraction(0), period_ns(Fraction(1_000_000))))
    whole = Quiet(start_ns=3000, end_ns=20_000_000)
    assert [windows.quiet_at(offset, 0, 0) for offset in (3000, 4000, 10_000_500, 19_999_999)] == [whole] * 4
    assert windows.quiet_at(20_000_000, 0, 0) is None
