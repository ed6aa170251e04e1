"""A body's text to its entries: reading, the version, the shape of the document, and decoding it.

Source: docs/http.md, "Answers" and "Start"; docs/scenarios.md, "Entry".
"""

from collections.abc import Mapping as Variables
from enum import Enum
from typing import Final, TypeVar

from common.errors import CompileError, DecodeError
from common.units import clip
from supervisor.compiler.faults import V1_HINT, compile_fault
from supervisor.compiler.language.blocks import FlatFile, ScenarioFile
from supervisor.compiler.language.interpolate import Interpolation
from supervisor.compiler.language.packfile import decode_pack
from supervisor.reading.decode import decode, unknown_text
from supervisor.reading.json_text import read_json
from supervisor.reading.nodes import Mapping, Node, Scalar, Sequence
from supervisor.reading.scalars import integer_of, is_null
from supervisor.reading.yaml_text import read_yaml

VERSION: Final = 2
_FLAT_KEYS: Final = ("signal_type", "generator", "log_generator", "distribution", "pack")
_File = TypeVar("_File", ScenarioFile, FlatFile)


class Body(Enum):
    """How a body is written."""

    YAML = "yaml"
    JSON = "json"


def read_body(payload: bytes, form: Body, environment: Variables[str, str]) -> Mapping:
    """Return the root of a version-2 document, environment references replaced.

    Raises:
        CompileError: 400; not UTF-8, not YAML or JSON, a reference without a value, another version.
    """
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        prefix = "invalid JSON body: not UTF-8" if form is Body.JSON else "request body is not valid UTF-8"
        raise CompileError(f"{prefix}: {exc.reason} at byte {exc.start}") from exc
    root = _read_json(text, environment) if form is Body.JSON else _read_yaml(text, environment)
    if not isinstance(root, Mapping) or not _is_version_2(root.get("version")):
        raise CompileError(V1_HINT)
    return root


def read_file(root: Mapping) -> ScenarioFile | FlatFile | None:
    """Return the decoded document; None for a composable one, which holds no entries.

    Raises:
        CompileError: 400, for some clauses 422; a shape, field or type that the language does not have.
    """
    kind, scenarios = _kind(root), root.get("scenarios")
    if kind == "composable":
        if scenarios is not None:
            raise compile_fault(
                "parse",
                "kind: composable cannot have a 'scenarios:' block; composable files are pack definitions",
            )
        _check_pack(root)
        return None
    if scenarios is not None and not is_null(scenarios):
        if isinstance(scenarios, Sequence) and not scenarios.items:
            raise compile_fault("parse", "kind: runnable scenarios block is empty; expected at least one scenario")
        return _decoded(root, ScenarioFile)
    if not any(_has(root, name) for name in _FLAT_KEYS):
        raise compile_fault(
            "parse",
            "kind: runnable file has no scenarios; add a 'scenarios:' block or use single-signal shorthand",
        )
    return _decoded(_with_signal_type(root), FlatFile)


def _check_pack(root: Mapping) -> None:
    try:
        decode_pack(root)
    except DecodeError as exc:
        raise compile_fault("parse", f"kind: composable body is not a valid pack definition: {exc}") from exc


def _read_yaml(text: str, environment: Variables[str, str]) -> Node:
    try:
        text = Interpolation(environment).text(text)
    except DecodeError as exc:
        raise compile_fault("env interpolation", str(exc)) from exc
    try:
        return read_yaml(text)
    except DecodeError as exc:
        raise compile_fault("parse", f"YAML parse error: {exc}") from exc


def _read_json(text: str, environment: Variables[str, str]) -> Node:
    try:
        root = read_json(text)
    except DecodeError as exc:
        raise CompileError(f"invalid JSON body: {exc}") from exc
    try:
        return Interpolation(environment).node(root)
    except DecodeError as exc:
        raise compile_fault("env interpolation", str(exc)) from exc


def _is_version_2(node: Node | None) -> bool:
    return isinstance(node, Scalar) and node.plain and integer_of(node.text) == VERSION


def _kind(root: Mapping) -> str:
    node = root.get("kind")
    if node is None or is_null(node):
        return "runnable"
    if isinstance(node, Scalar) and node.text not in ("runnable", "composable"):
        raise compile_fault("parse", f"unknown kind '{clip(node.text)}': must be 'runnable' or 'composable'")
    # A list or a map as kind is left to the decoding, which refuses it with its place.
    return node.text if isinstance(node, Scalar) else "runnable"


def _has(root: Mapping, name: str) -> bool:
    node = root.get(name)
    return node is not None and not is_null(node)


def _with_signal_type(root: Mapping) -> Mapping:
    """Return the flat document with the signal type that its keys imply, where it gives none."""
    if _has(root, "signal_type"):
        return root
    if _has(root, "distribution"):
        implied = "summary" if _has(root, "quantiles") else "histogram"
    else:
        implied = "logs" if _has(root, "log_generator") else "metrics"
    given = [(key, value) for key, value in root.items if not (isinstance(key, Scalar) and key.text == "signal_type")]
    signal_type: tuple[Node, Node] = (Scalar("signal_type", plain=True), Scalar(implied, plain=True))
    return Mapping([*given, signal_type], root.line, root.column)


def _decoded(root: Mapping, target: type[_File]) -> _File:
    try:
        file, unknown = decode(root, target)
    except DecodeError as exc:
        raise compile_fault("parse", f"YAML parse error: {exc}", exc.status) from exc
    if unknown:
        message = unknown_text(unknown)
        raise compile_fault("parse", f"YAML parse error: {message}" if len(unknown) == 1 else message)
    return file
