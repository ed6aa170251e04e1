"""A body's text to its entries: reading, the version, the shape of the document, and decoding it.

Source: docs/http.md, "Answers" and "Start"; docs/scenarios.md, "Entry".
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

from common.errors import BodyFault, CompileError, DecodeError
from common.units import clip
from supervisor.compiler.faults import V1_HINT, Faults, compile_fault, parse_fault, reworded
from supervisor.compiler.language.blocks import FlatFile, ScenarioFile
from supervisor.compiler.language.hints import misplaced
from supervisor.compiler.language.interpolate import Interpolation
from supervisor.compiler.language.packfile import decode_pack
from supervisor.compiler.origin import Origin
from supervisor.reading.decode import examine
from supervisor.reading.json_text import read_json
from supervisor.reading.messages import did_you_mean, path_text, unknown_text
from supervisor.reading.nodes import MappingNode, Node, ScalarNode, SequenceNode
from supervisor.reading.recording import MAX_FAULTS
from supervisor.reading.scalars import integer_of, is_null
from supervisor.reading.yaml_text import read_yaml

VERSION: Final = 2
_FLAT_KEYS: Final = ("signal_type", "generator", "log_generator", "distribution", "pack")
_File = TypeVar("_File", ScenarioFile, FlatFile)


class BodyFormat(Enum):
    """How a body is written."""

    YAML = "yaml"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Document:
    """A version-2 document.

    Attributes:
        root: environment references replaced.
        origin: where its parts stand in the posted text.
    """

    root: MappingNode
    origin: Origin


def read_body(payload: bytes, form: BodyFormat, variables: Interpolation) -> Document:
    """Return a posted document.

    Raises:
        CompileError: 400; as `read_text`, or another version.
    """
    text, root, origin = read_text(payload, form, variables)
    if not isinstance(root, MappingNode) or not _is_version_2(root.get("version")):
        faults = Faults(origin)
        faults.add(CompileError(V1_HINT, at=("version",), hint=_version_hint(text, root)))
        faults.close()
    assert isinstance(root, MappingNode)  # noqa: S101 - the faults were raised
    return Document(root, origin)


def read_text(payload: bytes, form: BodyFormat, variables: Interpolation) -> tuple[str, Node, Origin]:
    """Return the text of a body, what it is, and where its parts stand.

    Args:
        payload: as it was posted.
        form: how it is written.
        variables: what its references stand for; used for this body alone.

    Raises:
        CompileError: 400; not UTF-8, not YAML or JSON, a reference without a value.
    """
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        prefix = "invalid JSON body: not UTF-8" if form is BodyFormat.JSON else "request body is not valid UTF-8"
        raise _told(CompileError(f"{prefix}: {exc.reason} at byte {exc.start}")) from exc
    try:
        root = _read_json(text, variables) if form is BodyFormat.JSON else _read_yaml(text, variables)
    except CompileError as exc:
        raise _told(exc) from exc
    return text, root, Origin(text, root, variables if form is BodyFormat.YAML else None)


def _told(error: CompileError) -> CompileError:
    """Return the error of a text that cannot be read, with itself as its only fault."""
    path = path_text(error.at)
    error.faults = (BodyFault(path, error.line or None, error.column or None, error.problem, error.hint),)
    return error


def read_file(document: Document, faults: Faults) -> ScenarioFile | FlatFile | None:
    """Return the decoded document, mended where something is wrong with it; None for one without entries.

    Raises:
        CompileError: 400, for some clauses 422; nothing of it can be looked at further.
    """
    root = document.root
    with faults.at():
        file = _file(root, faults)
        if isinstance(file, ScenarioFile):
            document.origin.entries = tuple(("scenarios", index) for index in range(len(file.scenarios)))
        elif isinstance(file, FlatFile):
            document.origin.entries = ((),)
        return file
    faults.close()
    return None


def _file(root: MappingNode, faults: Faults) -> ScenarioFile | FlatFile | None:
    kind, scenarios = _kind(root), root.get("scenarios")
    if kind == "composable":
        if scenarios is not None:
            raise compile_fault(
                "parse",
                "kind: composable cannot have a 'scenarios:' block; composable files are pack definitions",
                at=("scenarios",),
            )
        _check_pack(root)
        return None
    if scenarios is not None and not is_null(scenarios):
        if isinstance(scenarios, SequenceNode) and not scenarios.items:
            raise compile_fault(
                "parse", "kind: runnable scenarios block is empty; expected at least one scenario", at=("scenarios",)
            )
        return _decoded(root, ScenarioFile, faults)
    if not any(_has(root, name) for name in _FLAT_KEYS):
        raise compile_fault(
            "parse",
            "kind: runnable file has no scenarios; add a 'scenarios:' block or use single-signal shorthand",
            hint=_scenarios_hint(root),
        )
    return _decoded(_with_signal_type(root), FlatFile, faults)


def _check_pack(root: MappingNode) -> None:
    try:
        decode_pack(root)
    except DecodeError as exc:
        message = f"kind: composable body is not a valid pack definition: {exc}"
        raise reworded(exc, compile_fault("parse", message)) from exc


def _read_yaml(text: str, variables: Interpolation) -> Node:
    try:
        text = variables.text(text)
    except DecodeError as exc:
        raise reworded(exc, compile_fault("env interpolation", str(exc))) from exc
    try:
        return read_yaml(text)
    except DecodeError as exc:
        exc.line, exc.column = variables.position(exc.line, exc.column) if exc.line else (0, 0)
        raise parse_fault(exc) from exc


def _read_json(text: str, variables: Interpolation) -> Node:
    try:
        root = read_json(text)
    except DecodeError as exc:
        raise reworded(exc, CompileError(f"invalid JSON body: {exc}")) from exc
    try:
        return variables.node(root)
    except DecodeError as exc:
        error = reworded(exc, compile_fault("env interpolation", str(exc)))
        place = Origin(text, root, None).locate([(exc.at, False)])[0]
        error.line, error.column = place.line, place.column
        raise error from exc


def _version_hint(text: str, root: Node) -> str | None:
    if not text.strip():
        return "the body is empty"
    if isinstance(root, SequenceNode):
        return "the body is a list; a scenario file is a map with `version: 2` at its top"
    if isinstance(root, ScalarNode):
        return "the body is a single text; send the content of a file, with curl as --data-binary @FILE"
    version = root.get("version")
    if version is None:
        return "write `version: 2` at the top"
    if isinstance(version, ScalarNode) and not version.plain and integer_of(version.text) == VERSION:
        return "write `version: 2` without quotes"
    return None


def _scenarios_hint(root: MappingNode) -> str | None:
    keys = [key.text for key, _ in root.items if isinstance(key, ScalarNode)]
    near = next((key for key in keys if did_you_mean(key, ("scenarios",))), None)
    return None if near is None else f"`{clip(near)}` is probably meant to be `scenarios`"


def _is_version_2(node: Node | None) -> bool:
    return isinstance(node, ScalarNode) and node.plain and integer_of(node.text) == VERSION


def _kind(root: MappingNode) -> str:
    node = root.get("kind")
    if node is None or is_null(node):
        return "runnable"
    if isinstance(node, ScalarNode) and node.text not in ("runnable", "composable"):
        raise compile_fault(
            "parse",
            f"unknown kind '{clip(node.text)}': must be 'runnable' or 'composable'",
            at=("kind",),
            hint=did_you_mean(node.text, ("runnable", "composable")),
        )
    # A list or a map as kind is left to the decoding, which refuses it with its place.
    return node.text if isinstance(node, ScalarNode) else "runnable"


def _has(root: MappingNode, name: str) -> bool:
    node = root.get(name)
    return node is not None and not is_null(node)


def _with_signal_type(root: MappingNode) -> MappingNode:
    """Return the flat document with the signal type that its keys imply, where it gives none."""
    if _has(root, "signal_type"):
        return root
    if _has(root, "distribution"):
        implied = "summary" if _has(root, "quantiles") else "histogram"
    else:
        implied = "logs" if _has(root, "log_generator") else "metrics"
    given = [
        (key, value) for key, value in root.items if not (isinstance(key, ScalarNode) and key.text == "signal_type")
    ]
    signal_type: tuple[Node, Node] = (ScalarNode("signal_type", plain=True), ScalarNode(implied, plain=True))
    return MappingNode([*given, signal_type], root.line, root.column)


def _decoded(root: MappingNode, target: type[_File], faults: Faults) -> _File:
    """Return the file; what is wrong with it is recorded.

    Raises:
        CompileError: nothing of it can be looked at further.
    """
    file, reading = examine(root, target)
    for error in reading.faults:
        faults.add(error)
    if reading.unknown:
        message = unknown_text(reading.unknown)
        whole = compile_fault("parse", f"YAML parse error: {message}" if len(reading.unknown) == 1 else message)
        told = [unknown.fault for unknown in reading.unknown[:MAX_FAULTS]]
        for error in told:
            error.hint = error.hint or misplaced(error.at)
        faults.add(whole, told)
    if file is None:
        faults.close()
    assert file is not None  # noqa: S101 - what stood in the way was raised
    return file
