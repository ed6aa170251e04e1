"""The JSON Schema of scenario and pack files, made of the annotations that the decoder follows.

It accepts whatever the parser accepts; what no type can say (names, durations, who waits for whom) stays with the
compiler. Source: JSON Schema draft 2020-12; docs/http.md, "Documents".
"""

import functools
import sys
import types
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from common.specs import Spec
from supervisor.compiler.language.blocks import DynamicLabel, FlatFile, ScenarioFile
from supervisor.compiler.language.document import VERSION
from supervisor.compiler.language.packfile import PackFile
from supervisor.reading.decode import Regime, may_be_null

JsonSchema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_BRANCHES: Final[dict[str, type[Spec]]] = {"canonical": ScenarioFile, "flat": FlatFile, "pack": PackFile}
_NUMBER: Final = {"type": "number"}
# A plain scalar of any kind is a text in the direct regime: its source text.
_DIRECT_TEXT: Final = {"type": ["string", "number", "boolean", "null"]}
_TAGGED_TEXT: Final = {"type": "string"}


@functools.cache
def scenario_schema() -> JsonSchema:
    """Return the schema of a version-2 document: canonical, flat, or a pack definition; for reading only."""
    builder = _Builder()
    branches = {name: builder.structure(struct, Regime.DIRECT) for name, struct in _BRANCHES.items()}
    branches["pack"] |= {"anyOf": [{"required": ["metrics"]}, {"required": ["extends"]}]}
    for name in ("canonical", "flat"):
        branches[name]["properties"] |= {"version": {"const": VERSION}, "kind": {"enum": ["runnable", None]}}
    flat = branches["flat"]
    flat["required"].remove("signal_type")
    flat["properties"]["signal_type"] = _nullable(flat["properties"]["signal_type"])
    return {
        "$schema": DIALECT,
        "title": "Scenario file, version 2",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in branches],
        "$defs": {name: {"title": name} | branch for name, branch in branches.items()} | builder.definitions,
    }


class _Builder:
    """Schemas of annotations; Structs inside others become definitions under their own names."""

    def __init__(self) -> None:
        self.definitions: dict[str, JsonSchema] = {}

    def structure(self, struct: type[Spec], regime: Regime) -> JsonSchema:
        """Return the closed object of a Struct."""
        properties: dict[str, JsonSchema] = {}
        required: list[str] = []
        tag = struct.__struct_config__.tag
        if tag is not None:
            properties["type"] = {"const": tag}
            required.append("type")
        for info in msgspec.structs.fields(struct):
            schema = self.of(info.type, regime)
            if info.required:
                required.append(info.encode_name)
            else:
                schema = _defaulting(_nullable(schema) if may_be_null(info.type) else schema, info.default)
            properties[info.encode_name] = schema
        return {
            "description": (struct.__doc__ or "").partition("\n")[0],
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def of(self, annotation: Any, regime: Regime) -> JsonSchema:
        """Return the schema of what `annotation` describes."""
        origin = get_origin(annotation)
        if origin is Annotated:
            bare, *metas = get_args(annotation)
            return self._annotated(bare, metas, regime)
        if origin in (Union, types.UnionType):
            return self._union(get_args(annotation), regime)
        if origin is Literal:
            return {"enum": list(get_args(annotation))}
        if origin is tuple:
            array = {"type": "array", "items": self.of(get_args(annotation)[0], regime)}
            return array if regime is Regime.TAGGED else _nullable(array)
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(get_args(annotation)[1], regime)}
        if annotation is str:
            return dict(_TAGGED_TEXT if regime is Regime.TAGGED else _DIRECT_TEXT)
        if annotation is float:
            return dict(_NUMBER)
        if annotation is bool:
            return {"type": "boolean"}
        if annotation is DynamicLabel:
            return self._dynamic_label()
        return self._reference(annotation, regime)

    def _annotated(self, bare: Any, metas: list[msgspec.Meta], regime: Regime) -> JsonSchema:
        extras: dict[str, Any] = {}
        for meta in metas:
            extras |= meta.extra or {}
        schema = _unsigned(metas[0].le) if bare is int else self.of(bare, Regime(extras.get("regime", regime.value)))
        for meta in metas:
            schema |= meta.extra_json_schema or {}
            if meta.description is not None:
                schema |= {"description": meta.description}
            if meta.max_length is not None:
                schema |= _at_most(schema, meta.max_length)
        return schema

    def _union(self, members: tuple[Any, ...], regime: Regime) -> JsonSchema:
        present = [member for member in members if member not in (type(None), msgspec.UnsetType)]
        if len(present) == 1:
            return self.of(present[0], regime)
        tagged = str not in present
        return {"anyOf": [self.of(member, Regime.TAGGED if tagged else regime) for member in present]}

    def _reference(self, struct: type[Spec], regime: Regime) -> JsonSchema:
        name = struct.__name__
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = self.structure(struct, regime)
        return {"$ref": f"#/$defs/{name}"}

    def _dynamic_label(self) -> JsonSchema:
        """Return the one object whose fields need not fit as long as one of its two forms does."""
        forms = {info.name: self.of(info.type, Regime.DIRECT) for info in msgspec.structs.fields(DynamicLabel)}
        form = self.structure(DynamicLabel, Regime.DIRECT)
        form["properties"] |= {"prefix": True, "cardinality": True, "values": True}
        counter = {"cardinality": forms["cardinality"], "prefix": _nullable(forms["prefix"])}
        form["anyOf"] = [
            {"required": ["values"], "properties": {"values": forms["values"]}},
            {"required": ["cardinality"], "properties": counter},
        ]
        return form


def _unsigned(limit: int | float | None) -> JsonSchema:
    return {"type": "integer", "minimum": 0, "maximum": 2**64 - 1 if limit is None else limit}


def _nullable(schema: JsonSchema) -> JsonSchema:
    kinds = schema.get("type")
    if "enum" in schema:
        return schema | {"enum": [*schema["enum"], None]}
    if kinds is None:
        return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}
    return schema | {"type": list(dict.fromkeys([*([kinds] if isinstance(kinds, str) else kinds), "null"]))}


def _defaulting(schema: JsonSchema, default: Any) -> JsonSchema:
    shown = isinstance(default, (str, int, float, bool))
    return schema | {"default": default} if shown else schema


def _at_most(schema: Mapping[str, Any], limit: int) -> JsonSchema:
    kinds = schema.get("type", ())
    return {"maxItems" if "array" in kinds else "maxProperties": limit}


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(scenario_schema()), indent=1).decode() + "\n")
