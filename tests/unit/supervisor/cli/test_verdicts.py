"""From observations to verdicts."""

import pytest

from supervisor.cli.alerts.expectations import AlertState, Observation
from supervisor.cli.alerts.report import verdict_time
from supervisor.cli.alerts.verdicts import Verdict, evaluate, is_firing, is_resolved

DEADLINE = 10.0


def seen(*looks: tuple[float, AlertState | str]) -> list[Observation]:
    """Observations; a state that is none is an error."""
    states: dict[str, AlertState] = {"firing": "firing", "pending": "pending", "inactive": "inactive"}
    return [Observation(secs, states.get(state), None if state in states else state) for secs, state in looks]


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (seen((3, "inactive"), (9, "firing")), Verdict("pass", 9)),
        (seen((10, "firing")), Verdict("pass", 10)),
        (seen((3, "pending"), (11, "firing")), Verdict("late", 11)),
        (seen((3, "no route"), (11, "firing")), Verdict("undecided", 11, "no route")),
        (seen((11, "firing")), Verdict("undecided", 11)),
        (seen((3, "inactive"), (10, "inactive")), Verdict("missed")),
        (seen((3, "inactive"), (12, "pending")), Verdict("missed")),
        (seen((3, "no route"), (12, "inactive")), Verdict("missed", None, "no route")),
        (seen((3, "first"), (4, "second"), (12, "third")), Verdict("missed", None, "second")),
        (seen((3, "inactive")), Verdict("undecided")),
        ([], Verdict("undecided")),
    ],
)
def test_firing(looks: list[Observation], expected: Verdict) -> None:
    """Only firing in time passes; late needs proof that it was not firing within the deadline."""
    assert evaluate(looks, DEADLINE, is_firing) == expected


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        (seen((3, "pending")), Verdict("pass", 3)),
        (seen((3, "no route"), (4, "firing"), (5, "inactive")), Verdict("pass", 5)),
        (seen((9, "firing"), (12, "inactive")), Verdict("late", 12)),
        (seen((9, "firing"), (12, "firing")), Verdict("missed")),
        (seen((9, "no route"), (12, "no route")), Verdict("missed", None, "no route")),
    ],
)
def test_resolution(looks: list[Observation], expected: Verdict) -> None:
    """Pending counts as resolved, an error never does."""
    assert evaluate(looks, DEADLINE, is_resolved) == expected


@pytest.mark.parametrize(
    ("secs", "text"),
    [(281.4, "281s"), (2.5, "2s"), (3.5, "4s"), (0.9994, "999ms"), (0.0015, "2ms"), (0.0004, "0s"), (None, "0s")],
)
def test_times_of_verdicts(secs: float | None, text: str) -> None:
    """Whole seconds, never minutes; milliseconds below one second."""
    assert verdict_time(secs) == text
