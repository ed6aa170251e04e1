"""`${VAR}` in bodies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DecodeError
from supervisor.compiler import BodyFormat
from supervisor.compiler.language import interpolate
from supervisor.compiler.language.interpolate import Interpolation
from tests.support.compiling import FAILED, plan_of, refusal_of

ENVIRONMENT = {
    "HOST": "db1",
    "EMPTY": "",
    "NESTED": "${HOST}",
    "RATE": "7",
    "BROKEN": "\udcff",
    "SONDA_API_KEY": "secret",
    "SAFE_TEXT": "a: b",
}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${HOST}", "db1"),
        ("x${HOST}y${HOST}", "xdb1ydb1"),
        ("${EMPTY:-default}", ""),
        ("${UNSET:-http://h:1/?a=b&c}", "http://h:1/?a=b&c"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:-b}", "a:-b"),
        ("${UNSET:-${HOST}", "${HOST"),
        ("${NESTED}", "${HOST}"),
        ("$${HOST}", "${HOST}"),
        ("$$$${HOST}", "$${HOST}"),
        ("$$${HOST}", "$db1"),
        ("$HOST $ $", "$HOST $ $"),
        ("cost: 5$", "cost: 5$"),
        ("# ${HOST}", "# db1"),
        ("${SAFE_TEXT}", "a: b"),
        ("${BROKEN:-fine}", "fine"),
        ("${SONDA_API_KEY:-none}", "none"),
        ("}${HOST}}", "}db1}"),
        ("${_A9:-x}", "x"),
    ],
)
def test_references_are_replaced(text: str, result: str) -> None:
    """References, defaults and the escape are replaced from left to right, and what was put in is not read again."""
    assert Interpolation(ENVIRONMENT).text(text) == result


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${UNSET}", "environment variable UNSET is not set (referenced at line 1, column 1 of scenario YAML)"),
        (
            "${SONDA_API_KEY}",
            "environment variable SONDA_API_KEY is not set (referenced at line 1, column 1 of scenario YAML)",
        ),
        ("a\nbé ${UNSET}", "environment variable UNSET is not set (referenced at line 2, column 4 of scenario YAML)"),
        (
            "é${HOST:-é}é ${UNSET}",
            "environment variable UNSET is not set (referenced at line 1, column 15 of scenario YAML)",
        ),
        (
            "${HOST:-é\né}x${UNSET}",
            "environment variable UNSET is not set (referenced at line 2, column 5 of scenario YAML)",
        ),
        ("ab${HOST", "unterminated `${...}` reference (started at line 1, column 3 of scenario YAML)"),
        (
            "${}",
            (
                'invalid environment variable name "" (at line 1, column 1 of scenario YAML): names must match '
                "[A-Z_][A-Z0-9_]*"
            ),
        ),
        (
            "${host}",
            (
                'invalid environment variable name "host" (at line 1, column 1 of scenario YAML): names must match '
                "[A-Z_][A-Z0-9_]*"
            ),
        ),
    ],
)
def test_bad_references_say_where(text: str, reason: str) -> None:
    """An unset variable, an open reference and a bad name are refused with line and column of the dollar."""
    with pytest.raises(DecodeError) as caught:
        Interpolation(ENVIRONMENT).text(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize("text", ["${1A}", "${A-B}", "${A:?x}", "${ A}", "${É}", "${A\n}", "${a:-x}"])
def test_only_plain_names_are_names(text: str) -> None:
    """Shell forms other than `:-`, small letters and blanks are no names, default or not."""
    with pytest.raises(DecodeError, match="invalid environment variable name"):
        Interpolation(ENVIRONMENT).text(text)


def test_growth_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short body that names a long variable many times is refused."""
    monkeypatch.setattr(interpolate, "MAX_INSERTED_CHARS", 4000)
    interpolation = Interpolation({"LONG": "x" * 1000})
    assert len(interpolation.text("${LONG}" * 4)) == 4000
    with pytest.raises(DecodeError, match="more than"):
        interpolation.text("${LONG}")


def test_the_text_is_interpolated_before_it_is_yaml() -> None:
    """A reference may stand for a key, a number, a whole line, and in a comment it must still resolve."""
    text = "version: ${V:-2}\n${K:-rate}: ${RATE}\nname: up\ngenerator: {type: constant, value: 1}\n"
    assert plan_of(text, environment=ENVIRONMENT).entries[0].plan.rate == 7.0
    assert refusal_of(f"{text}# ${{UNSET}}\n", environment=ENVIRONMENT) == (
        400,
        (
            f"{FAILED}env interpolation error: environment variable UNSET is not set "
            "(referenced at line 5, column 3 of scenario YAML)"
        ),
    )


def test_json_strings_are_interpolated_one_by_one() -> None:
    """In JSON a string with a reference is read like a plain scalar; other strings stay strings."""
    text = '{"version": 2, "name": "${HOST}", "rate": "%s", "generator": {"type": "constant", "value": 1}}'
    plan = plan_of(text % "${R:-5}", BodyFormat.JSON, ENVIRONMENT).entries[0].plan
    assert (plan.name, plan.rate) == ("db1", 5.0)
    assert refusal_of(text % "5", BodyFormat.JSON, ENVIRONMENT).status == 400
    assert refusal_of(text % "$$5", BodyFormat.JSON, ENVIRONMENT).status == 400
    assert refusal_of(text % "${R}", BodyFormat.JSON, ENVIRONMENT).detail.startswith(
        f"{FAILED}env interpolation error: environment variable R is not set"
    )


@given(st.text(alphabet=st.sampled_from("${}:-AB\n é"), max_size=40))
def test_any_text_is_interpolated_or_refused(text: str) -> None:
    """No arrangement of the special characters raises anything but DecodeError, and without `$` nothing changes."""
    try:
        result = Interpolation({"A": "1"}).text(text)
    except DecodeError:
        return
    if "$" not in text:
        assert result == text
