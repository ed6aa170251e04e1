"""What a run is expected to have done."""

import math

import pytest

from supervisor.cli.running.expected import Expected, parse_expected
from supervisor.cli.running.figures import judge


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("errors==0", Expected("errors==0", "errors", "==", 0.0)),
        (" rate >= 0.99 ", Expected("rate >= 0.99", "rate", ">=", 0.99)),
        ("lateness_p99<5ms", Expected("lateness_p99<5ms", "lateness_p99", "<", 0.005)),
        ("elapsed!=2m", Expected("elapsed!=2m", "elapsed", "!=", 120.0)),
    ],
)
def test_an_expectation_is_read(text: str, expected: Expected) -> None:
    """Blanks do not matter; times become seconds."""
    assert parse_expected(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("errors", "FIGURE OPERATOR NUMBER"),
        ("errors=0", "FIGURE OPERATOR NUMBER"),
        ("errors==-1", "FIGURE OPERATOR NUMBER"),
        ("frob==1", "no figure 'frob'"),
        ("lateness_p99<5", "needs a unit"),
        ("errors==0s", "has no unit"),
        ("", "FIGURE OPERATOR NUMBER"),
    ],
)
def test_what_is_no_expectation_is_refused(text: str, reason: str) -> None:
    """The error says what was expected."""
    with pytest.raises(ValueError, match=reason):
        parse_expected(text)


def test_a_figure_that_is_not_known_is_never_as_expected() -> None:
    """NaN fails every comparison, != too."""
    expected = [parse_expected(text) for text in ("rate>=0", "rate!=1", "errors==0", "events>3")]
    checks = judge(expected, {"rate": math.nan, "errors": 0.0, "events": 3.0})
    assert [(check.passed, check.text) for check in checks] == [
        (False, "rate is not known"),
        (False, "rate is not known"),
        (True, "errors is 0"),
        (False, "events is 3"),
    ]
