"""Strict JSON to nodes: a number, a boolean or null is a plain scalar, a string is a quoted one.

Source: RFC 8259; docs/scenarios.md, "YAML and JSON".
"""

import json
from typing import NoReturn

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.nodes import MAX_DEPTH, Mapping, Node, Scalar, Sequence


def read_json(text: str) -> Node:
    """Return the value of `text`.

    Raises:
        DecodeError: not JSON, `NaN` or `Infinity`, a key twice in an object, half a surrogate pair, nesting deeper than
            `MAX_DEPTH`.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_Object, parse_int=_Literal, parse_float=_Literal, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as exc:
        raise DecodeError(f"{exc.msg} at line {exc.lineno} column {exc.colno}") from exc
    except RecursionError as exc:
        raise DecodeError(_TOO_DEEP) from exc
    return _node(value, 1)


_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


class _Literal(str):
    """A number as it was written."""

    __slots__ = ()


class _Object(list[tuple[str, object]]):
    """The pairs of an object in order."""


def _refuse_constant(name: str) -> NoReturn:
    raise DecodeError(f"{name} is not a JSON number")


def _node(value: object, depth: int) -> Node:
    if isinstance(value, str):
        if isinstance(value, _Literal):
            return Scalar(str(value), plain=True)
        return Scalar(_checked(value), plain=False)
    if value is None:
        return Scalar("null", plain=True)
    if isinstance(value, bool):
        return Scalar("true" if value else "false", plain=True)
    if depth > MAX_DEPTH:
        raise DecodeError(_TOO_DEEP)
    if isinstance(value, _Object):
        return _mapping(value, depth)
    assert isinstance(value, list)  # noqa: S101 - all that the parser yields besides
    return Sequence([_node(item, depth + 1) for item in value])


def _mapping(pairs: _Object, depth: int) -> Mapping:
    seen: set[str] = set()
    items: list[tuple[Node, Node]] = []
    for key, value in pairs:
        if key in seen:
            raise DecodeError(f"duplicate key {quote(clip(key))} in an object")
        seen.add(key)
        items.append((Scalar(_checked(key), plain=False), _node(value, depth + 1)))
    return Mapping(items)


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise DecodeError("a string holds half of a surrogate pair") from exc
    return text
