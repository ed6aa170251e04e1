"""How late ticks may be fired: what a busy machine adds to the wake-up budget."""

from hypothesis import given
from hypothesis import strategies as st

from common.board import Board
from supervisor.engine.pacing import PATIENCE, TOLERATED_NS, Overload, Pacing
from supervisor.engine.wakeups import WakeupBudget

MS = 1_000_000


def test_ticks_in_time_need_no_slack() -> None:
    """However busy the machine is, and however late ticks are while it is not."""
    overload = Overload()
    for late_ns, busy in ((0, 1.0), (TOLERATED_NS, 1.0), (500 * MS, 0.5)):
        overload.observe(late_ns, 0, busy)
        assert overload.slack_ns == 0
        assert not overload.is_on


def test_late_ticks_on_a_busy_machine_get_slack_until_they_are_in_time() -> None:
    """It grows from what the budget gave, second by second, and goes when there is time again."""
    overload = Overload()
    given_slack = [10 * MS]
    while len(given_slack) < 5:
        overload.observe(given_slack[-1] + 50 * MS, given_slack[-1], 1.0)
        given_slack.append(overload.slack_ns)
    assert given_slack == sorted(set(given_slack))
    overload.observe(given_slack[-1], given_slack[-1], 1.0)
    assert overload.slack_ns == given_slack[-1]
    for _ in range(50):
        overload.observe(0, overload.slack_ns, 0.3)
    assert overload.slack_ns == 0


def test_a_machine_that_cannot_keep_up_is_overloaded_until_it_can() -> None:
    """Late at the bound for some seconds in a row; one second is none, in both directions."""
    overload = Overload(100 * MS)
    seconds = 0
    while not overload.is_on:
        overload.observe(1000 * MS, overload.slack_ns, 1.0)
        seconds += 1
        assert seconds < 30
    assert overload.slack_ns == 100 * MS
    for late_ms in (0, 0, 1000, 0, 0):
        overload.observe(late_ms * MS, 100 * MS, 1.0)
        assert overload.is_on
    overload.observe(0, 100 * MS, 1.0)
    assert not overload.is_on
    for _ in range(PATIENCE - 1):
        overload.observe(1000 * MS, 100 * MS, 1.0)
    assert not overload.is_on


@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.floats(0, 1e10), st.integers(0, 10**9), st.floats(0, 1))),
)
def test_the_slack_stays_within_its_bound(most_ms: int, seconds: list[tuple[float, int, float]]) -> None:
    """Whatever is observed."""
    overload = Overload(most_ms * MS)
    for late_ns, slack_ns, busy in seconds:
        overload.observe(late_ns, slack_ns, busy)
        assert 0 <= overload.slack_ns <= most_ms * MS


def test_the_larger_of_both_demands_holds() -> None:
    """What the budget demands, and what lateness does."""
    board = Board(1)
    pacing = Pacing(board, WakeupBudget(1000, 250 * MS), Overload())
    for _ in range(100):
        pacing.add(100.0)
    pacing.settle()
    budget_ns = board.slack_ns()
    assert 0 < budget_ns < 100 * MS
    pacing.observe(2000 * MS, 1.0)
    assert board.slack_ns() > budget_ns
    for _ in range(50):
        pacing.observe(0, 0.1)
    assert board.slack_ns() == budget_ns
    for _ in range(100):
        pacing.remove(100.0)
    pacing.settle()
    assert board.slack_ns() == 0
