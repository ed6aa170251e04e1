"""No text may do anything to the compiler but be compiled or refused."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from common.errors import CompileError
from supervisor.compiler import BodyFormat
from tests.support.compiling import plan_of
from tests.unit.supervisor.compiler.documents import COMPLETE, EVERYTHING, VALUES, paths_of, replaced

YAML_LIKE = st.text(
    alphabet=st.sampled_from("abe012:-,.#&*!|>'\"%@`[]{}?<=~$ \n\t\u00e9\u2028\ufeff\x00\x85"), max_size=200
)

COMPLETE_DOCUMENT = {"version": 2, "scenario_name": "s", "defaults": {"rate": 1}, "scenarios": [COMPLETE]}


def compile_or_refuse(payload: str | bytes, form: BodyFormat) -> None:
    detail, status = "accepted", 422
    try:
        plan_of(payload, form, {"X": "1"})
    except CompileError as exc:
        detail, status = exc.detail, exc.status
    assert status in (400, 422)
    assert 0 < len(detail.encode()) < 20_000


@given(st.binary(max_size=100), st.sampled_from(BodyFormat))
def test_any_bytes(payload: bytes, form: BodyFormat) -> None:
    """Bytes are compiled or refused, in both forms."""
    compile_or_refuse(payload, form)


@given(YAML_LIKE)
def test_any_yaml(text: str) -> None:
    """Texts full of YAML's special characters are compiled or refused, alone and as a value of an entry."""
    compile_or_refuse(text, BodyFormat.YAML)
    compile_or_refuse(f"version: 2\nname: {text}", BodyFormat.YAML)


@given(VALUES)
def test_any_json(value: Any) -> None:
    """Any JSON value is compiled or refused, alone and as an entry."""
    compile_or_refuse(json.dumps(value), BodyFormat.JSON)
    compile_or_refuse(json.dumps({"version": 2, "scenarios": [value]}), BodyFormat.JSON)


@given(st.data(), st.sampled_from([COMPLETE_DOCUMENT, EVERYTHING]))
def test_mutated_documents(data: st.DataObject, document: Any) -> None:
    """A valid document with up to three values replaced by anything is compiled or refused, in both forms alike."""
    for _ in range(data.draw(st.integers(1, 3))):
        document = replaced(document, data.draw(st.sampled_from(paths_of(document))), data.draw(VALUES))
    text = json.dumps(document)
    compile_or_refuse(text, BodyFormat.JSON)
    compile_or_refuse(text, BodyFormat.YAML)


def test_the_complete_entry_compiles() -> None:
    """What the mutations start from is valid."""
    assert plan_of(json.dumps(COMPLETE_DOCUMENT), BodyFormat.JSON)
