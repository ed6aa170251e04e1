"""Nodes to Structs, driven by the Structs' own annotations: no field is named here.

An annotation becomes a function once (`decoder`), the functions call one another. `Meta` in an annotation carries what
a type cannot say: `extra={"name": …}` the union's name in messages, `extra={"later": …}` tags that are known words of
the language but have no Struct, `extra={"hints": …}` what is meant by other words, `extra={"regime": …}` where a regime
begins, `extra={"lenient": True}` that a misfit is UNSET instead of a fault, `extra={"read": …}` a function from a node
to its value, which raises ValueError with what was expected, `max_length` a bound. A Struct may have `check()`, which
raises DecodeError for a value that no type can refuse.

A fault does not end the decoding: it is recorded, and what it spoils is not built, up to the first Struct that has
`mended()`, which says what such a Struct may stand for while the rest is looked at. Unknown fields spoil nothing; any
other fault wins over them, and `unknown_text` reports them together.
Source: docs/http.md, "Answers"; docs/scenarios.md, "YAML and JSON".
"""

import types
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from common.errors import DecodeError
from supervisor.reading.messages import (
    Place,
    Unknown,
    duplicate,
    fault,
    meant,
    short_form,
    unknown_variant,
    without_value,
    wrong,
)
from supervisor.reading.nodes import MappingNode, Node, ScalarNode, SequenceNode
from supervisor.reading.recording import Enough, Reading, Told
from supervisor.reading.scalars import (
    MAX_UNSIGNED,
    Wide,
    bool_of,
    float_of,
    integer_of,
    is_null,
    resolve,
)

_UNSIGNED: Final = {2**8 - 1: "u8", 2**32 - 1: "u32"}
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Regime(Enum):
    """How a plain text is read; LISTED is DIRECT inside `scenarios`, where integers must fit 64 bits."""

    DIRECT = "direct"
    LISTED = "listed"
    TAGGED = "tagged"


Decoder = Callable[[Reading, Node, Place | None, Regime], Any]


def decode(
    node: Node, target: type[_Struct], place: Place | None = None, regime: Regime = Regime.DIRECT
) -> tuple[_Struct, list[Unknown]]:
    """Return `node` as a `target` Struct, and the unknown keys met on the way.

    Raises:
        DecodeError: the first fault in text order that is not an unknown key.
    """
    decoded, reading = examine(node, target, place, regime)
    if reading.faults:
        raise reading.faults[0]
    assert decoded is not None  # noqa: S101 - only a fault stands in the way
    return decoded, reading.unknown


def examine(
    node: Node, target: type[_Struct], place: Place | None = None, regime: Regime = Regime.DIRECT
) -> tuple[_Struct | None, Reading]:
    """Return `node` as a `target` Struct, mended where that can be done, and everything that is wrong with it."""
    reading = Reading()
    try:
        return decoder(target)(reading, node, place, regime), reading
    except DecodeError as exc:
        with suppress(Enough):
            reading.record(exc)
    except Enough:
        pass
    return None, reading


@cache
def decoder(annotation: Any) -> Decoder:
    """Return the function that decodes what `annotation` describes."""
    origin = get_origin(annotation)
    if origin is Annotated:
        bare, *metas = get_args(annotation)
        return _annotated(bare, metas)
    if origin in (Union, types.UnionType):
        return _union(get_args(annotation))
    if origin is Literal:
        return _literal(get_args(annotation))
    if origin is tuple:
        return _sequence(get_args(annotation)[0])
    if origin is dict:
        return _mapping(*get_args(annotation))
    if annotation in _LEAVES:
        return _LEAVES[annotation]
    return _struct(annotation)


def _annotated(bare: Any, metas: list[msgspec.Meta]) -> Decoder:
    extras: dict[str, Any] = {}
    for meta in metas:
        extras |= meta.extra or {}
    if "read" in extras:
        inner = _read_by(extras["read"])
    elif "name" in extras:
        inner = _union(get_args(bare), extras["name"], extras.get("later", ()), extras.get("hints", {}))
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


def _read_by(read: Callable[[Node], Any]) -> Decoder:
    def decode_by(_reading: Reading, node: Node, place: Place | None, _regime: Regime) -> Any:
        try:
            return read(node)
        except ValueError as exc:
            raise fault(place, node, str(exc)) from exc

    return decode_by


def _in_regime(inner: Decoder, regime: Regime) -> Decoder:
    return lambda reading, node, place, _regime: inner(reading, node, place, regime)


def _lenient(inner: Decoder) -> Decoder:
    def decode_lenient(_reading: Reading, node: Node, place: Place | None, regime: Regime) -> Any:
        try:
            return inner(Reading(), node, place, regime)
        except (DecodeError, Enough):
            return msgspec.UNSET

    return decode_lenient


def _hiding(inner: Decoder) -> Decoder:
    def decode_hidden(reading: Reading, node: Node, place: Place | None, regime: Regime) -> Any:
        hidden, value = Reading(reading.unknown), None
        with suppress(Enough):
            try:
                value = inner(hidden, node, place, regime)
            except DecodeError as exc:
                hidden.record(exc)
        for error in hidden.faults:
            reading.record(without_value(error))
        if hidden.faults:
            raise Told("a secret cannot be read")
        return value

    return decode_hidden


def _bounded(inner: Decoder, limit: int) -> Decoder:
    def decode_bounded(reading: Reading, node: Node, place: Place | None, regime: Regime) -> Any:
        if not isinstance(node, ScalarNode) and len(node.items) > limit:
            raise fault(place, node, f"invalid length {len(node.items)}, expected at most {limit}")
        return inner(reading, node, place, regime)

    return decode_bounded


def _union(
    members: tuple[Any, ...], name: str = "", later: tuple[str, ...] = (), hints: dict[str, str] | None = None
) -> Decoder:
    present = tuple(member for member in members if member not in (type(None), msgspec.UnsetType))
    if len(present) == 1:
        return decoder(present[0])
    if str in present:
        (structure,) = (member for member in present if member is not str)
        return _text_or(decoder(structure))
    return _tagged(present, name, later, hints or {})


def _text_or(structure: Decoder) -> Decoder:
    def decode_either(reading: Reading, node: Node, place: Place | None, regime: Regime) -> Any:
        return (_text if isinstance(node, ScalarNode) else structure)(reading, node, place, regime)

    return decode_either


def _tagged(members: tuple[Any, ...], name: str, later: tuple[str, ...], hints: dict[str, str]) -> Decoder:
    variants = {member.__struct_config__.tag: decoder(member) for member in members}

    def decode_variant(reading: Reading, node: Node, place: Place | None, _regime: Regime) -> Any:
        if not isinstance(node, MappingNode):
            raise wrong(place, node, f"internally tagged enum {name}", short_form(place, node, variants))
        tag = node.get("type")
        if tag is None:
            raise fault(place, node, "missing field `type`", hint=f"`type` is one of {', '.join(variants)}")
        text = _text(reading, tag, place, Regime.TAGGED)
        if text in later:
            raise fault(place, tag, f"type `{text}` is not available in this release")
        if text not in variants:
            raise unknown_variant(place, tag, text, (*variants, *later), hints.get(text))
        return variants[text](reading, node, place, Regime.TAGGED)

    return decode_variant


def _literal(values: tuple[str, ...]) -> Decoder:
    def decode_literal(reading: Reading, node: Node, place: Place | None, regime: Regime) -> str:
        text = _text(reading, node, place, regime)
        if text not in values:
            raise unknown_variant(place, node, text, values)
        return text

    return decode_literal


def _sequence(item: Any) -> Decoder:
    decode_item = decoder(item)

    def decode_sequence(reading: Reading, node: Node, place: Place | None, regime: Regime) -> tuple[Any, ...]:
        if isinstance(node, SequenceNode):
            items: list[Any] = []
            for index, child in enumerate(node.items):
                try:
                    items.append(decode_item(reading, child, Place(place, index), regime))
                except DecodeError as exc:
                    reading.record(exc)
            if len(items) < len(node.items):
                raise Told("an item cannot be read")
            return tuple(items)
        if regime is not Regime.TAGGED and is_null(node) and isinstance(node, ScalarNode) and not node.text:
            return ()
        raise wrong(place, node, "a sequence")

    return decode_sequence


def _mapping(key_annotation: Any, value: Any) -> Decoder:
    decode_key, decode_value = decoder(key_annotation), decoder(value)

    def decode_mapping(reading: Reading, node: Node, place: Place | None, regime: Regime) -> dict[str, Any]:
        if not isinstance(node, MappingNode):
            raise wrong(place, node, "a map")
        decoded: dict[str, Any] = {}
        seen: set[str] = set()
        for key, child in node.items:
            try:
                name = decode_key(reading, key, place, regime)
                if name in seen:
                    raise duplicate(place, key, name)
                seen.add(name)
                decoded[name] = decode_value(reading, child, Place(place, name), regime)
            except DecodeError as exc:
                reading.record(exc)
        if len(decoded) < len(node.items):
            raise Told("a member cannot be read")
        return decoded

    return decode_mapping


def _struct(structure: type[msgspec.Struct]) -> Decoder:
    fields = {info.encode_name: info for info in msgspec.structs.fields(structure)}
    secrets = getattr(structure, "secrets", frozenset()) | getattr(structure, "secret_entries", frozenset())
    decoders = {
        name: _hiding(decoder(info.type)) if info.name in secrets else decoder(info.type)
        for name, info in fields.items()
    }
    nullable = {name for name, info in fields.items() if not info.required and may_be_null(info.type)}
    tag = structure.__struct_config__.tag_field
    check: Callable[[Any], None] | None = getattr(structure, "check", None)
    mend: Callable[[dict[str, Any], set[str]], Any] | None = getattr(structure, "mended", None)

    def decode_struct(reading: Reading, node: Node, place: Place | None, regime: Regime) -> Any:
        if not isinstance(node, MappingNode):
            raise wrong(place, node, "a map")
        seen: set[str] = set()
        values: dict[str, Any] = {}
        spoiled: set[str] = set()
        known = len(reading.faults)
        for key, child in node.items:
            try:
                if not isinstance(key, ScalarNode):
                    raise wrong(place, key, "a string")
                name = key.text
                if name in seen:
                    raise duplicate(place, key, name)
                seen.add(name)
                if name not in fields:
                    if name != tag:
                        reading.unknown.append(Unknown(place, key, tuple(fields)))
                elif not (name in nullable and is_null(child)):
                    values[fields[name].name] = decoders[name](reading, child, Place(place, name), regime)
            except DecodeError as exc:
                reading.record(exc)
                if isinstance(key, ScalarNode) and key.text in fields:
                    spoiled.add(fields[key.text].name)
        for name, info in fields.items():
            if info.required and name not in seen:
                reading.record(fault(place, node, f"missing field `{name}`", hint=meant(name, node, fields)))
                spoiled.add(info.name)
        if spoiled or len(reading.faults) > known:
            if mend is None:
                raise Told("a field cannot be read")
            return mend(values, spoiled)
        decoded = structure(**values)
        if check is not None:
            try:
                check(decoded)
            except DecodeError as exc:
                raise fault(place, node, str(exc), exc.status, exc.hint, within=exc.at) from exc
        return decoded

    return decode_struct


def may_be_null(annotation: Any) -> bool:
    """Say whether null stands for an absent value: it does not where the default is an empty list or map."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_origin(annotation) not in (tuple, dict)


def _text(_reading: Reading, node: Node, place: Place | None, regime: Regime) -> str:
    if not isinstance(node, ScalarNode):
        raise wrong(place, node, "a string")
    if node.plain:
        if regime is Regime.TAGGED:
            if not isinstance(resolve(node.text), str):
                raise wrong(place, node, "a string")
        elif regime is Regime.LISTED and isinstance(integer_of(node.text), Wide):
            raise wrong(place, node, "a string")
    return node.text


def _float(_reading: Reading, node: Node, place: Place | None, regime: Regime) -> float:
    if isinstance(node, ScalarNode) and node.plain:
        number = float_of(node.text) if node.is_json_number else _yaml_float(node.text, regime)
        if number is not None:
            return number
    raise wrong(place, node, "f64")


def _yaml_float(text: str, regime: Regime) -> float | None:
    if regime is Regime.TAGGED:
        value = resolve(text)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if regime is Regime.LISTED and isinstance(integer_of(text), Wide):
        return None
    return float_of(text)


def _unsigned(limit: int | float | None) -> Decoder:
    highest = MAX_UNSIGNED if limit is None else int(limit)
    expected = _UNSIGNED.get(highest, "u64")

    def decode_unsigned(_reading: Reading, node: Node, place: Place | None, _regime: Regime) -> int:
        value = integer_of(node.text) if isinstance(node, ScalarNode) and node.plain else None
        if isinstance(value, int):
            if 0 <= value <= highest:
                return value
            raise fault(place, node, f"invalid value: integer `{value}`, expected {expected}")
        raise wrong(place, node, expected)

    return decode_unsigned


def _bool(_reading: Reading, node: Node, place: Place | None, _regime: Regime) -> bool:
    value = bool_of(node.text) if isinstance(node, ScalarNode) and node.plain else None
    if value is None:
        raise wrong(place, node, "a boolean")
    return value


_LEAVES: Final[dict[Any, Decoder]] = {str: _text, float: _float, bool: _bool}
