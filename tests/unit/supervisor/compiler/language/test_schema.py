"""The JSON Schema of scenario files: it accepts whatever the parser accepts, and is the one that is shipped."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import CompileError, DecodeError
from supervisor.compiler import BodyFormat
from supervisor.compiler.faults import Faults
from supervisor.compiler.language.blocks import ScenarioFile
from supervisor.compiler.language.document import read_body, read_file
from supervisor.compiler.language.interpolate import Interpolation
from supervisor.compiler.language.packfile import parse_pack
from supervisor.compiler.language.schema import scenario_schema
from supervisor.compiler.language.structure import check_structure
from supervisor.compiler.packs.resolver import builtin_packs
from supervisor.reading.nodes import MappingNode, Node, ScalarNode, SequenceNode
from supervisor.reading.scalars import Wide, resolve
from supervisor.reading.yaml_text import read_yaml
from tests.support.compiling import body, entry
from tests.unit.supervisor.compiler.documents import EVERYTHING, VALUES, paths_of, replaced

ROOT = Path(__file__).parents[5]
SCHEMA = scenario_schema()
EXAMPLES = [path for path in sorted((ROOT / "examples").rglob("*.yaml")) if "version: 2" in path.read_text()]
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


def accepted_by_parser(text: str) -> bool:
    """Say whether the parse phase takes a document; what later phases say does not matter."""
    with suppress(CompileError):
        document = read_body(text.encode(), BodyFormat.JSON, Interpolation({}))
        faults = Faults(document.origin)
        file = read_file(document, faults)
        if isinstance(file, ScenarioFile):
            check_structure(file.scenarios, file.scenario_name, faults)
        faults.close()
        return True
    return False


def value_of(node: Node) -> Any:
    """Return the JSON value of a YAML node."""
    match node:
        case ScalarNode():
            value = resolve(node.text) if node.plain else node.text
            assert not isinstance(value, Wide)
            return value
        case SequenceNode():
            return [value_of(item) for item in node.items]
        case MappingNode():
            return {key.text: value_of(value) for key, value in node.items if isinstance(key, ScalarNode)}


def test_the_schema_is_one() -> None:
    """The document is a valid schema of its own dialect with three named branches, two of them closed."""
    jsonschema_rs.meta.validate(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["anyOf"] == [{"$ref": f"#/$defs/{name}"} for name in ("canonical", "flat", "pack")]
    assert not SCHEMA["$defs"]["canonical"]["additionalProperties"]
    assert not SCHEMA["$defs"]["flat"]["additionalProperties"]
    assert SCHEMA["$defs"]["flat"]["required"] == ["version"]
    assert SCHEMA["$defs"]["pack"]["required"] == ["name", "description", "category"]
    assert SCHEMA["$defs"]["While"]["properties"]["op"]["enum"] == ["<", ">"]
    assert set(SCHEMA["$defs"]["Delay"]["properties"]) == {"open", "close"}
    assert SCHEMA["$defs"]["KafkaSasl"]["properties"]["password"]["writeOnly"]


def test_the_shipped_schema_is_current() -> None:
    """The file under docs/ is what the code says now."""
    shipped = json.loads((ROOT / "docs" / "scenario.schema.json").read_text())
    assert shipped == SCHEMA, "renew it: python -m supervisor.compiler.language.schema > docs/scenario.schema.json"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_validate(path: Path) -> None:
    """Every example is valid, and with a misspelled field it is not."""
    instance = value_of(read_yaml(path.read_text()))
    VALIDATOR.validate(instance)
    assert not VALIDATOR.is_valid(instance | {"scenarioz": []})


@pytest.mark.parametrize("name", builtin_packs())
def test_builtin_packs_validate(name: str) -> None:
    """Every built-in pack is valid."""
    VALIDATOR.validate(value_of(read_yaml(builtin_packs()[name])))


def test_everything_validates() -> None:
    """A document with every block of the language is accepted by parser and schema."""
    assert accepted_by_parser(json.dumps(EVERYTHING))
    VALIDATOR.validate(EVERYTHING)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 3},
        {"scenarios": [{"name": "a"}]},
        {"scenarios": [entry(rate="5")]},
        {"scenarios": [entry(sink={"type": "nowhere"})]},
        {"scenarios": [entry(sink={"type": "stdout", "path": "x"})]},
        {"scenarios": [entry(while_={"ref": "a", "op": "==", "value": 1})]},
        {"scenarios": [entry(dynamic_labels=[{"key": "a", "prefix": "b"}])]},
        {"scenarios": [entry(signal_type="trace")]},
        {"scenarios": [entry(delay={"close": 0})]},
        {"kind": "Runnable"},
    ],
)
def test_faults_are_found(change: dict[str, Any]) -> None:
    """What the parser refuses by shape the schema refuses too."""
    assert not VALIDATOR.is_valid(EVERYTHING | change)


@given(st.data())
def test_the_schema_never_refuses_what_the_parser_accepts(data: st.DataObject) -> None:
    """Whatever is changed in a document that uses everything: if the parser takes it, it validates."""
    document: Any = EVERYTHING
    for _ in range(data.draw(st.integers(1, 3))):
        document = replaced(document, data.draw(st.sampled_from(paths_of(document))), data.draw(VALUES))
    text = json.dumps(document)
    if "$" not in text and accepted_by_parser(text):
        VALIDATOR.validate(document)


@given(st.data())
def test_packs_are_never_refused_either(data: st.DataObject) -> None:
    """The same for pack definitions."""
    document = value_of(read_yaml(builtin_packs()["if_mib"]))
    document = replaced(document, data.draw(st.sampled_from(paths_of(document))), data.draw(VALUES))
    with suppress(DecodeError):
        parse_pack(json.dumps(document))
        VALIDATOR.validate(document)


def test_flat_documents_validate() -> None:
    """A flat document needs no signal type."""
    flat = {"version": 2, "name": "a", "rate": 1, "generator": {"type": "constant", "value": 1}, "signal_type": None}
    assert accepted_by_parser(json.dumps(flat))
    VALIDATOR.validate(flat)
    VALIDATOR.validate(json.loads(body(entry())))
