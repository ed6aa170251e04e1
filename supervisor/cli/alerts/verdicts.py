"""From observations to a verdict. Pure. Source: docs/command-line.md, "Verdicts"."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from supervisor.cli.alerts.expectations import AlertState, Observation

VerdictKind = Literal["pass", "late", "missed", "undecided"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a check.

    Attributes:
        secs: when it was seen, where it was.
        last_error: of the last look within the deadline that failed.
    """

    kind: VerdictKind
    secs: float | None = None
    last_error: str | None = None


def is_firing(state: AlertState) -> bool:
    """Return what a firing check waits for."""
    return state == "firing"


def is_resolved(state: AlertState) -> bool:
    """Return what a resolution check waits for: anything but firing."""
    return state != "firing"


def evaluate(
    observations: Sequence[Observation], deadline_secs: float, is_success: Callable[[AlertState], bool]
) -> Verdict:
    """Return the verdict that observations in the order of their times allow."""
    covered = evidence = False
    last_error: str | None = None
    for seen in observations:
        in_time = seen.secs <= deadline_secs
        if seen.state is not None and is_success(seen.state):
            if in_time:
                return Verdict("pass", seen.secs)
            return Verdict("late", seen.secs) if evidence else Verdict("undecided", seen.secs, last_error)
        if seen.state is not None:
            evidence = evidence or in_time
        elif in_time:
            last_error = seen.error
        covered = covered or seen.secs >= deadline_secs
    return Verdict("missed" if covered else "undecided", None, last_error)
