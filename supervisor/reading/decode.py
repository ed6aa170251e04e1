"""Nodes to Structs, driven by the Structs' own annotations: no field is named here.

An annotation becomes a function once (`decoder`), the functions call one another. `Meta` in an annotation carries what
a type cannot say: `extra={"name": …}` the union's name in messages, `extra={"later": …}` tags that are known words of
the language but have no Struct, `extra={"regime": …}` where a regime begins, `extra={"lenient": True}` that a misfit is
UNSET instead of a fault, `max_length` a bound. A Struct may have `check()`, which raises DecodeError for a value that
no type can refuse.

Unknown fields do not stop the decoding: they are collected, any other fault wins over them, and `unknown_text` reports
them together. Source: docs/http.md, "Answers"; docs/scenarios.md, "YAML and JSON".
"""

import types
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec

from common.errors import DecodeError
from common.units import clip, quote
from supervisor.reading.nodes import Mapping, Node, Scalar, Sequence, at
from supervisor.reading.scalars import (
    MAX_UNSIGNED,
    Wide,
    bool_of,
    float_of,
    found,
    integer_of,
    is_null,
    resolve,
)

MAX_UNKNOWN_LISTED: Final = 20
_UNSIGNED: Final = {2**8 - 1: "u8", 2**32 - 1: "u32"}
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Regime(Enum):
    """How a plain text is read; LISTED is DIRECT inside `scenarios`, where integers must fit 64 bits."""

    DIRECT = "direct"
    LISTED = "listed"
    TAGGED = "tagged"


class Place(NamedTuple):
    """Where in the document: the key or index and the place it belongs to; None is the root."""

    parent: "Place | None"
    step: str | int


class Unknown(NamedTuple):
    """A key that the language does not have there."""

    place: Place | None
    key: Scalar
    known: tuple[str, ...]


@dataclass(slots=True)
class Reading:
    """One decoding of one document."""

    unknown: list[Unknown] = field(default_factory=list)


Decoder = Callable[[Reading, Node, Place | None, Regime], Any]


def decode(
    node: Node, target: type[_Struct], place: Place | None = None, regime: Regime = Regime.DIRECT
) -> tuple[_Struct, list[Unknown]]:
    """Return `node` as a `target` Struct, and the unknown keys met on the way.

    Raises:
        DecodeError: the first fault in text order that is not an unknown key.
    """
    reading = Reading()
    return decoder(target)(reading, node, place, regime), reading.unknown


def unknown_text(unknown: list[Unknown]) -> str:
    """Return the message for unknown keys: one with the names expected instead, several with their paths."""
    if len(unknown) == 1:
        place, key, known = unknown[0]
        expected = f"expected {_one_of(known)}" if known else "there are no fields"
        return f"{_prefix(place)}unknown field `{clip(key.text)}`, {expected}{at(key)}"
    paths = [f"{path(Place(place, key.text))}{at(key)}" for place, key, _ in unknown[:MAX_UNKNOWN_LISTED]]
    more = len(unknown) - MAX_UNKNOWN_LISTED
    return f"unknown fields in scenario file: {', '.join(paths)}{f', … and {more} more' if more > 0 else ''}"


def path(place: Place | None) -> str:
    """Return the dotted path of a place, e.g. ``scenarios[2].sink.retry``; empty for the root."""
    steps: list[str] = []
    while place is not None:
        steps.append(f"[{place.step}]" if isinstance(place.step, int) else f".{clip(place.step)}")
        place = place.parent
    return "".join(reversed(steps)).removeprefix(".")


@cache
def decoder(annotation: Any) -> Decoder:
    """Return the function that decodes what `annotation` describes."""
    origin = get_origin(annotation)
    if origin is Annotated:
        bare, *metas = get_args(annotation)
        return _annotated(bare, metas)
    if origin in (Union, types.UnionType):
        return _union(get_args(annotation), name="", later=())
    if origin is Literal:
        return _literal(get_args(annotation))
    if origin is tuple:
        return _sequence(get_args(annotation)[0])
    if origin is dict:
        return _mapping(get_args(annotation)[1])
    if annotation in _LEAVES:
        return _LEAVES[annotation]
    return _struct(annotation)


def _annotated(bare: Any, metas: list[msgspec.Meta]) -> Decoder:
    extras: dict[str, Any] = {}
    for meta in metas:
        extras |= meta.extra or {}
    if "name" in extras:
        inner = _union(get_args(bare), extras["name"], extras.get("later", ()))
    elif bare is int:
        inner = _unsigned(metas[0].le)
    else:
        inner = decoder(bare)
    if "regime" in extras:
        inner = _in_regime(inner, Regime(extras["regime"]))
    limits = [meta.max_length for meta in metas if meta.max_length is not None]
    if limits:
        inner = _bounded(inner, limits[0])
    return _lenient(inner) if "lenient" in extras else inner


def _in_regime(inner: Decoder, regime: Regime) -> Decoder:
    return lambda reading, node, place, _regime: inner(reading, node, place, regime)


def _lenient(inner: Decoder) -> Decoder:
    def decode_lenient(reading: Reading, node: Node, place: Place | None, regime: Regime) -> Any:
        try:
            return inner(reading, node, place, regime)
        except DecodeError:
            return msgspec.UNSET

    return decode_lenient


def _bounded(inner: Decoder, limit: int) -> Decoder:
    def decode_bounded(reading: Reading, node: Node, place: Place | None, regime: Regime) -> Any:
        if not isinstance(node, Scalar) and len(node.items) > limit:
            raise fault(place, node, f"invalid length {len(node.items)}, expected at most {limit}")
        return inner(reading, node, place, regime)

    return decode_bounded


def _union(members: tuple[Any, ...], name: str, later: tuple[str, ...]) -> Decoder:
    present = tuple(member for member in members if member not in (type(None), msgspec.UnsetType))
    if len(present) == 1:
        return decoder(present[0])
    if str in present:
        (structure,) = (member for member in present if member is not str)
        return _text_or(decoder(structure))
    return _tagged(present, name, later)


def _text_or(structure: Decoder) -> Decoder:
    def decode_either(reading: Reading, node: Node, place: Place | None, regime: Regime) -> Any:
        return (_text if isinstance(node, Scalar) else structure)(reading, node, place, regime)

    return decode_either


def _tagged(members: tuple[Any, ...], name: str, later: tuple[str, ...]) -> Decoder:
    variants = {member.__struct_config__.tag: decoder(member) for member in members}

    def decode_variant(reading: Reading, node: Node, place: Place | None, _regime: Regime) -> Any:
        if not isinstance(node, Mapping):
            raise _wrong(place, node, f"internally tagged enum {name}")
        tag = node.get("type")
        if tag is None:
            raise fault(place, node, "missing field `type`")
        text = _text(reading, tag, place, Regime.TAGGED)
        if text in later:
            raise fault(place, tag, f"type `{text}` is not available in this release")
        if text not in variants:
            raise _unknown_variant(place, tag, text, (*variants, *later))
        return variants[text](reading, node, place, Regime.TAGGED)

    return decode_variant


def _literal(values: tuple[str, ...]) -> Decoder:
    def decode_literal(reading: Reading, node: Node, place: Place | None, regime: Regime) -> str:
        text = _text(reading, node, place, regime)
        if text not in values:
            raise _unknown_variant(place, node, text, values)
        return text

    return decode_literal


def _sequence(item: Any) -> Decoder:
    decode_item = decoder(item)

    def decode_sequence(reading: Reading, node: Node, place: Place | None, regime: Regime) -> tuple[Any, ...]:
        if isinstance(node, Sequence):
            return tuple(
                decode_item(reading, child, Place(place, index), regime) for index, child in enumerate(node.items)
            )
        if regime is not Regime.TAGGED and is_null(node) and isinstance(node, Scalar) and not node.text:
            return ()
        raise _wrong(place, node, "a sequence")

    return decode_sequence


def _mapping(value: Any) -> Decoder:
    decode_value = decoder(value)

    def decode_mapping(reading: Reading, node: Node, place: Place | None, regime: Regime) -> dict[str, Any]:
        if not isinstance(node, Mapping):
            raise _wrong(place, node, "a map")
        decoded: dict[str, Any] = {}
        for key, child in node.items:
            name = _text(reading, key, place, regime)
            if name in decoded:
                raise _duplicate(place, key, name)
            decoded[name] = decode_value(reading, child, Place(place, name), regime)
        return decoded

    return decode_mapping


def _struct(structure: type[msgspec.Struct]) -> Decoder:
    fields = {info.encode_name: info for info in msgspec.structs.fields(structure)}
    decoders = {name: decoder(info.type) for name, info in fields.items()}
    nullable = {name for name, info in fields.items() if not info.required and may_be_null(info.type)}
    tag = structure.__struct_config__.tag_field
    check: Callable[[Any], None] | None = getattr(structure, "check", None)

    def decode_struct(reading: Reading, node: Node, place: Place | None, regime: Regime) -> Any:
        if not isinstance(node, Mapping):
            raise _wrong(place, node, "a map")
        seen: set[str] = set()
        values: dict[str, Any] = {}
        for key, child in node.items:
            if not isinstance(key, Scalar):
                raise _wrong(place, key, "a string")
            name = key.text
            if name in seen:
                raise _duplicate(place, key, name)
            seen.add(name)
            if name not in fields:
                if name != tag:
                    reading.unknown.append(Unknown(place, key, tuple(fields)))
            elif not (name in nullable and is_null(child)):
                values[fields[name].name] = decoders[name](reading, child, Place(place, name), regime)
        for name, info in fields.items():
            if info.required and name not in seen:
                raise fault(place, node, f"missing field `{name}`")
        decoded = structure(**values)
        if check is not None:
            try:
                check(decoded)
            except DecodeError as exc:
                raise fault(place, node, str(exc), exc.status) from exc
        return decoded

    return decode_struct


def may_be_null(annotation: Any) -> bool:
    """Say whether null stands for an absent value: it does not where the default is an empty list or map."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_origin(annotation) not in (tuple, dict)


def _text(_reading: Reading, node: Node, place: Place | None, regime: Regime) -> str:
    if not isinstance(node, Scalar):
        raise _wrong(place, node, "a string")
    if node.plain:
        if regime is Regime.TAGGED:
            if not isinstance(resolve(node.text), str):
                raise _wrong(place, node, "a string")
        elif regime is Regime.LISTED and isinstance(integer_of(node.text), Wide):
            raise _wrong(place, node, "a string")
    return node.text


def _float(_reading: Reading, node: Node, place: Place | None, regime: Regime) -> float:
    if isinstance(node, Scalar) and node.plain:
        integer = None if regime is Regime.DIRECT else integer_of(node.text)
        if regime is Regime.TAGGED:
            value = resolve(node.text)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return float(value)
        elif not isinstance(integer, Wide):
            number = float_of(node.text)
            if number is not None:
                return number
    raise _wrong(place, node, "f64")


def _unsigned(limit: int | float | None) -> Decoder:
    highest = MAX_UNSIGNED if limit is None else int(limit)
    expected = _UNSIGNED.get(highest, "u64")

    def decode_unsigned(_reading: Reading, node: Node, place: Place | None, _regime: Regime) -> int:
        value = integer_of(node.text) if isinstance(node, Scalar) and node.plain else None
        if isinstance(value, int):
            if 0 <= value <= highest:
                return value
            raise fault(place, node, f"invalid value: integer `{value}`, expected {expected}")
        raise _wrong(place, node, expected)

    return decode_unsigned


def _bool(_reading: Reading, node: Node, place: Place | None, _regime: Regime) -> bool:
    value = bool_of(node.text) if isinstance(node, Scalar) and node.plain else None
    if value is None:
        raise _wrong(place, node, "a boolean")
    return value


_LEAVES: Final[dict[Any, Decoder]] = {str: _text, float: _float, bool: _bool}


def fault(place: Place | None, node: Node, message: str, status: int = 400) -> DecodeError:
    """Return the error for `node`: its path, the message, its position."""
    return DecodeError(f"{_prefix(place)}{message}{at(node)}", status)


def _prefix(place: Place | None) -> str:
    return f"{path(place)}: " if place else ""


def _wrong(place: Place | None, node: Node, expected: str) -> DecodeError:
    kind = "value" if found(node).startswith("integer `") and expected[0] == "u" else "type"
    return fault(place, node, f"invalid {kind}: {found(node)}, expected {expected}")


def _duplicate(place: Place | None, key: Node, name: str) -> DecodeError:
    return fault(place, key, f"duplicate entry with key {quote(clip(name))}")


def _unknown_variant(place: Place | None, node: Node, text: str, known: tuple[str, ...]) -> DecodeError:
    return fault(place, node, f"unknown variant `{clip(text)}`, expected {_one_of(known)}")


def _one_of(names: tuple[str, ...]) -> str:
    """Return `` `a` ``, `` `a` or `b` ``, or `` one of `a`, `b`, `c` ``."""
    quoted = [f"`{name}`" for name in names]
    return " or ".join(quoted) if len(quoted) <= 2 else f"one of {', '.join(quoted)}"
