"""Strict JSON to nodes: a number, a boolean or null is a plain scalar, a string is a quoted one.

The nodes have no positions, because the fast parser tells none; `positions` finds those that a fault needs.

Source: RFC 8259; docs/scenarios.md, "YAML and JSON".
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, NoReturn

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.nodes import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    TOO_MANY_CONTAINERS,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
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
        raise _placed(text, _UnplacedError(_TOO_DEEP, _is_too_deep)) from exc
    try:
        return _Builder().node(value, 1)
    except _UnplacedError as exc:
        raise _placed(text, exc) from exc


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


_OPENING: Final = ("{", "[")
_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"


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


class _UnplacedError(DecodeError):
    """What the parser lets pass; `is_there` finds the first of its kind among the parts of the text."""

    def __init__(self, message: str, is_there: Callable[[Member, str], bool]) -> None:
        super().__init__(message)
        self.is_there = is_there


def _placed(text: str, error: _UnplacedError) -> DecodeError:
    match = next(match for part, match in _parts(text) if error.is_there(part, match[0]))
    line, column = _line_and_column(text, match.start())
    return DecodeError(str(error), line=line, column=column)


def _is_too_deep(part: Member, mark: str) -> bool:
    return mark in _OPENING and len(part.members) >= MAX_DEPTH


def _is_half_a_pair(_part: Member, mark: str) -> bool:
    return mark[0] == '"' and not _is_whole(json.loads(mark))


class _Repeated:
    """Finds the first key that is in its object for the second time."""

    def __init__(self) -> None:
        self._seen: set[tuple[tuple[int, ...], str]] = set()

    def __call__(self, part: Member, mark: str) -> bool:
        if not part.on_key:
            return False
        key = part.members[:-1], json.loads(mark)
        is_there = key in self._seen
        self._seen.add(key)
        return is_there


class _Surplus:
    """Finds the first list or object beyond MAX_CONTAINERS."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, _part: Member, mark: str) -> bool:
        self._count += mark in _OPENING
        return self._count > MAX_CONTAINERS


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
                return ScalarNode(str(value), plain=True, is_json_number=True)
            return ScalarNode(_checked(value), plain=False)
        if value is None:
            return ScalarNode("null", plain=True)
        if isinstance(value, bool):
            return ScalarNode("true" if value else "false", plain=True)
        if depth > MAX_DEPTH:
            raise _UnplacedError(_TOO_DEEP, _is_too_deep)
        self._containers += 1
        if self._containers > MAX_CONTAINERS:
            raise _UnplacedError(TOO_MANY_CONTAINERS, _Surplus())
        if isinstance(value, _Object):
            return self._mapping(value, depth)
        assert isinstance(value, list)  # noqa: S101 - all that the parser yields besides
        return SequenceNode([self.node(item, depth + 1) for item in value])

    def _mapping(self, pairs: _Object, depth: int) -> MappingNode:
        seen: set[str] = set()
        items: list[tuple[Node, Node]] = []
        for key, value in pairs:
            if key in seen:
                raise _UnplacedError(f"duplicate key {quote(clip(key))} in an object", _Repeated())
            seen.add(key)
            items.append((ScalarNode(_checked(key), plain=False), self.node(value, depth + 1)))
        return MappingNode(items)


def _checked(text: str) -> str:
    if not _is_whole(text):
        raise _UnplacedError("a string holds half of a surrogate pair", _is_half_a_pair)
    return text


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
