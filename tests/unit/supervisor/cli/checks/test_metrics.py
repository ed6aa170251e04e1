"""Metrics of a command line and of a plugin's performance data."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.checks.metrics import metric_of, named, performance_data
from supervisor.cli.checks.plugin import outcome_of
from supervisor.relay.config.names import is_urn


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("a=5", "Integer", 5),
        ("a=-5", "Integer", -5),
        ("a=5.0", "Float", 5.0),
        ("a=1e3", "Float", 1000.0),
        ("a=true", "Boolean", True),
        ("a=up", "String", "up"),
        ("a=", "String", ""),
        ("a=5:float", "Float", 5.0),
        ("a=5:String", "String", "5"),
        ("a=12:30:00", "String", "12:30:00"),
        ("a=x=y:string", "String", "x=y"),
        ("urn:fs:usage=80:integer", "Integer", 80),
    ],
)
def test_a_metric_of_the_command_line(text: str, kind: str, value: object) -> None:
    """NAME=VALUE has the type that it looks like, NAME=VALUE:TYPE the one it says."""
    metric = metric_of(text)
    assert (metric["type"], metric["value"], type(metric["value"])) == (kind, value, type(value))


@pytest.mark.parametrize(
    "text", ["a", "=5", "a=x:integer", "a=99999999999999999999:integer", "a=1e999:float", "a=1:boolean"]
)
def test_what_is_no_metric(text: str) -> None:
    """A value that is not of its type, or no name."""
    with pytest.raises(ValueError, match=r"expected NAME=VALUE|is no"):
        metric_of(text)


def test_performance_data() -> None:
    """Labels with blanks and quotes, units, thresholds, counters; unknown values are left out."""
    text = "'/ home'=80%;90;95;0;100 time=0.5s;;; 'it''s'=1 in=77c bad=U empty= rta=1e400 =5 x"
    assert performance_data(text) == [
        {
            "name": "/ home",
            "type": "Float",
            "value": 80.0,
            "unit": "%",
            "warn": "90",
            "crit": "95",
            "min": "0",
            "max": "100",
        },
        {"name": "time", "type": "Float", "value": 0.5, "unit": "s"},
        {"name": "it's", "type": "Float", "value": 1.0},
        {"name": "in", "type": "Integer", "value": 77, "unit": "c"},
    ]


@pytest.mark.parametrize(
    ("name", "check", "root", "result"),
    [
        ("usage", "urn:fs", None, "urn:fs:usage"),
        ("usage", "77", None, "urn:77:usage"),
        ("usage", "77", "urn:backup", "urn:backup:usage"),
        ("urn:x:y", "77", None, "urn:x:y"),
        ("/ home", "urn:fs", None, "urn:fs:/_home"),
        ("a:b c", "urn:fs", None, "urn:fs:a_b_c"),
    ],
)
def test_names_belong_to_the_check(name: str, check: str, root: str | None, result: str) -> None:
    """A URN stays; anything else becomes the last segment behind the root."""
    (metric,) = named([{"name": name}], check, root)
    assert metric["name"] == result
    assert is_urn(metric["name"])


@given(
    st.text(max_size=80)
    | st.from_regex(r"('[^']{0,9}'|[a-z]{1,4})=-?[0-9.]{1,6}[a-zA-Z%]{0,2}(;[0-9]*){0,5} ", fullmatch=True)
)
def test_any_performance_data_gives_metrics_that_a_relay_takes(text: str) -> None:
    """Nothing raises, every value is finite, every name fits."""
    for metric in named(performance_data(text), "urn:a", None):
        assert is_urn(metric["name"])
        assert math.isfinite(metric["value"])


@pytest.mark.parametrize(
    ("code", "output", "status", "message"),
    [
        (0, "OK - fine | a=1\n", "ok", "OK - fine"),
        (1, "slow\nmore | b=2\n c=3", "warn", "slow"),
        (2, "gone", "error", "gone"),
        (3, "UNKNOWN - no idea", "error", "UNKNOWN - no idea"),
        (0, "", "ok", "p said nothing"),
        (127, "x", "error", "p ended with exit code 127: x"),
        (-9, "", "error", "p was ended by SIGKILL"),
    ],
)
def test_what_a_plugin_says(code: int, output: str, status: str, message: str) -> None:
    """Exit codes 0 to 3, any other, a signal; the first line is the message."""
    outcome = outcome_of(code, output, "p")
    assert (outcome.status, outcome.message) == (status, message)


def test_performance_data_may_follow_the_long_output() -> None:
    """After the first line's, whatever stands behind the first `|` of the other lines."""
    outcome = outcome_of(1, "slow | a=1\nlong text\nend | b=2\nc=3\n", "p")
    assert [metric["name"] for metric in outcome.metrics] == ["a", "b", "c"]
