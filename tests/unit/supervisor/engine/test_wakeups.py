"""The slack that keeps a fleet within its wake-up budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.engine.wakeups import MAX_SLACK_NS, MAX_WAKEUPS_PER_SEC, WakeupBudget


def _wakeups_per_sec(rates: list[float], slack_ns: int) -> float:
    return sum(1 / (1 / min(rate, MAX_WAKEUPS_PER_SEC) + slack_ns / 1e9) for rate in rates)


def test_no_slack_within_the_budget() -> None:
    """As long as the fleet fits, every tick is fired at its own deadline."""
    budget = WakeupBudget(10_000)
    assert budget.slack_ns() == 0
    for _ in range(100):
        budget.add(100)
    assert budget.slack_ns() == 0


def test_above_the_budget_the_slack_just_fits() -> None:
    """A hundred scenarios at 1000 per second may wake 10 000 times together: once in 10 ms each."""
    budget = WakeupBudget(10_000)
    for _ in range(100):
        budget.add(1000)
    assert budget.slack_ns() == pytest.approx(9_000_000, rel=1e-6)


def test_fast_scenarios_count_as_1000() -> None:
    """A scenario cannot wake more often than its worker does, whatever its rate."""
    budget = WakeupBudget(1000)
    budget.add(10_000_000)
    assert budget.slack_ns() == 0


def test_slack_is_bounded() -> None:
    """However large the fleet, no tick is later than the bound for the budget's sake."""
    budget = WakeupBudget(1)
    for _ in range(100):
        budget.add(1000)
    assert budget.slack_ns() == MAX_SLACK_NS


@given(st.lists(st.floats(0.01, 20_000), max_size=40), st.floats(1, 50_000))
def test_slack_is_the_smallest_that_fits(rates: list[float], wakeups_per_sec: float) -> None:
    """The slack keeps the fleet within the budget, and a little less would not."""
    budget = WakeupBudget(wakeups_per_sec)
    for rate in rates:
        budget.add(rate)
    slack_ns = budget.slack_ns()
    if slack_ns < MAX_SLACK_NS:
        assert _wakeups_per_sec(rates, slack_ns) <= wakeups_per_sec * (1 + 1e-5)
    if slack_ns > 1000:
        assert _wakeups_per_sec(rates, slack_ns - 1000) > wakeups_per_sec * (1 - 1e-5)


@given(st.lists(st.floats(0.01, 20_000), max_size=20))
def test_removing_undoes_adding(rates: list[float]) -> None:
    """A fleet that is gone leaves no slack behind."""
    budget = WakeupBudget(1)
    for rate in rates:
        budget.add(rate)
    for rate in rates:
        budget.remove(rate)
    assert budget.slack_ns() == 0
