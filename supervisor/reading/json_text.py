"""Strict JSON to nodes: a number, a boolean or null is a plain scalar, a string is a quoted one.

The nodes have no positions, because the fast parser tells none; `positions` finds those that a fault needs.

Source: RFC 8259; docs/scenarios.md, "YAML and JSON".
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Final, NamedTuple, NoReturn

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.nodes import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    TOO_MANY_CONTAINERS,
    Mapping,
    Node,
    Scalar,
    Sequence,
)


def read_json(text: str) -> Node:
    """Return the value of `text`.

    Raises:
        DecodeError: not JSON, `NaN` or `Infinity`, a key twice in an object, half a surrogate pair, nesting deeper than
            `MAX_DEPTH`.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_literal, parse_float=_literal, parse_constant=_refuse_constant
        )
    except _WordError as exc:
        match = next(match for _, match in _parts(text) if match[0] == exc.word)
        line, column = _line_and_column(text, match.start())
        raise DecodeError(str(exc), line=line, column=column) from exc
    except json.JSONDecodeError as exc:
        raise DecodeError(
            f"{exc.msg} at line {exc.lineno} column {exc.colno}",
            problem=exc.msg,
            line=exc.lineno,
            column=exc.colno,
            hint=_hint(text, exc),
        ) from exc
    except RecursionError as exc:
        raise DecodeError(_TOO_DEEP) from exc
    return _Builder().node(value, 1)


class Member(NamedTuple):
    """A part of a JSON text: the places of the members that lead to it from the root, and whether its key is meant."""

    members: tuple[int, ...]
    on_key: bool = False


def positions(text: str, wanted: set[Member]) -> dict[Member, tuple[int, int]]:
    """Return line and column, 1-based, of the parts of a JSON text."""
    found = {part: match.start() for part, match in _parts(text) if part in wanted}
    return {part: _line_and_column(text, offset) for part, offset in found.items()}


_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def _parts(text: str) -> Iterator[tuple[Member, re.Match[str]]]:
    """Yield every value and every key of a JSON text with its first mark."""
    path: list[int] = []
    objects: list[bool] = []
    expects_key = False
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark in ("}", "]"):
            path.pop()
            objects.pop()
        elif mark == ",":
            path[-1] += 1
            expects_key = objects[-1]
        elif mark == ":":
            expects_key = False
        elif expects_key:
            yield Member(tuple(path), on_key=True), match
        else:
            yield Member(tuple(path)), match
            if mark in ("{", "["):
                path.append(0)
                objects.append(mark == "{")
                expects_key = mark == "{"


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _hint(text: str, error: json.JSONDecodeError) -> str | None:
    """Return what is usually behind a text that is no JSON."""
    rest = text[error.pos :].lstrip()
    before = text[: error.pos].rstrip()
    if not text.strip():
        return "the body is empty"
    if rest[:1] == "'":
        return "JSON takes double quotes"
    # From Python 3.13 on the error stands at the comma, before at what follows it.
    if re.match(r",\s*[}\]]", rest) or (rest[:1] in ("}", "]") and before.endswith(",")):
        return "JSON takes no comma behind the last member"
    if rest[:2] in ("//", "/*") or rest[:1] == "#":
        return "JSON has no comments; YAML has: send it with Content-Type: text/yaml"
    if re.match(r"[A-Za-z_]+:|---|#|- ", text.lstrip()):
        return "the body looks like YAML; send it with Content-Type: text/yaml"
    return None


_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


class _Literal(str):
    """A number as it was written."""

    __slots__ = ()


class _Object(list[tuple[str, object]]):
    """The pairs of an object in order."""


class _WordError(DecodeError):
    """A number or a word that JSON does not have; `word` is its text."""

    def __init__(self, message: str, word: str) -> None:
        super().__init__(message)
        self.word = word


_LONGEST_FINITE: Final = 300
"""Characters of an integer that is finite as a float, whatever its digits."""


def _literal(text: str) -> _Literal:
    # PERF: a function and not the class itself, so that the parser lets other threads run in between.
    if (len(text) > _LONGEST_FINITE or "e" in text or "E" in text) and math.isinf(float(text)):
        raise _WordError("number out of range", text)
    return _Literal(text)


def _object(pairs: list[tuple[str, object]]) -> _Object:
    # As `_literal`.
    return _Object(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise _WordError(f"{name} is not a JSON number", name)


class _Builder:
    """Makes nodes of what the parser yields, of a bounded number of containers."""

    def __init__(self) -> None:
        self._containers = 0

    def node(self, value: object, depth: int) -> Node:
        if isinstance(value, str):
            if isinstance(value, _Literal):
                return Scalar(str(value), plain=True, is_json_number=True)
            return Scalar(_checked(value), plain=False)
        if value is None:
            return Scalar("null", plain=True)
        if isinstance(value, bool):
            return Scalar("true" if value else "false", plain=True)
        if depth > MAX_DEPTH:
            raise DecodeError(_TOO_DEEP)
        self._containers += 1
        if self._containers > MAX_CONTAINERS:
            raise DecodeError(TOO_MANY_CONTAINERS)
        if isinstance(value, _Object):
            return self._mapping(value, depth)
        assert isinstance(value, list)  # noqa: S101 - all that the parser yields besides
        return Sequence([self.node(item, depth + 1) for item in value])

    def _mapping(self, pairs: _Object, depth: int) -> Mapping:
        seen: set[str] = set()
        items: list[tuple[Node, Node]] = []
        for key, value in pairs:
            if key in seen:
                raise DecodeError(f"duplicate key {quote(clip(key))} in an object")
            seen.add(key)
            items.append((Scalar(_checked(key), plain=False), self.node(value, depth + 1)))
        return Mapping(items)


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise DecodeError("a string holds half of a surrogate pair") from exc
    return text
