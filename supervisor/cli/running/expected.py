"""What a run is expected to have done: `FIGURE OPERATOR NUMBER[UNIT]`.

Source: docs/command-line.md, "Verdicts of a run".
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from supervisor.cli.options import Many

FIGURES: Final = {
    "events": "",
    "bytes": "",
    "errors": "",
    "sink_failures": "",
    "elapsed": "s",
    "rate": "",
    "lateness_p50": "s",
    "lateness_p90": "s",
    "lateness_p99": "s",
}
"""The figures, and the unit of their values."""

_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GRAMMAR: Final = re.compile(r"\s*([a-z_0-9]+)\s*(==|!=|<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|h)?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Expected:
    """One expectation.

    Attributes:
        text: as typed.
        limit: in the unit of the figure.
    """

    text: str
    figure: str
    operator: str
    limit: float

    def holds(self, value: float) -> bool:
        """Return whether a value is as expected; no value never is."""
        return value == value and _OPERATORS[self.operator](value, self.limit)


def expect_option() -> Many:
    """Return the option of commands that run something."""
    return Many(
        "--expect",
        "expected",
        metavar="EXPECTATION",
        help="what the run must have done, such as errors==0, rate>=0.99 or lateness_p99<5ms; repeatable",
        read=parse_expected,
    )


def parse_expected(text: str) -> Expected:
    """Return an expectation.

    Raises:
        ValueError: it is none.
    """
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise ValueError("expected FIGURE OPERATOR NUMBER[UNIT], such as errors==0 or lateness_p99<5ms")
    figure, comparison, number, unit = match.groups()
    if figure not in FIGURES:
        raise ValueError(f"no figure '{figure}'; there are {', '.join(FIGURES)}")
    if bool(unit) is not (FIGURES[figure] == "s"):
        raise ValueError(f"{figure} {'needs a unit: us, ms, s, m or h' if FIGURES[figure] else 'has no unit'}")
    return Expected(text.strip(), figure, comparison, float(number) * _UNITS.get(unit, 1.0))
