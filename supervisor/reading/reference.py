"""The reference of a file format as a page, made of the annotations that the decoder follows.

A block is a table of its fields; blocks inside others follow them. A note with a description says what a field takes,
and its `extra` may say how a default is written (`show`) or what it is (`default`).
"""

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

_LEAVES: Final[dict[Any, str]] = {str: "text", float: "number", bool: "`true` or `false`"}


class Page:
    """Sections in the order in which fields first name them.

    Args:
        version: of the format, the only value of a field `version`.
        unions: names of unions to the word before the colon of their titles.

    Attributes:
        sections: of the page, in Markdown.
    """

    def __init__(self, version: int, unions: Mapping[str, str] | None = None) -> None:
        self.sections: list[str] = []
        self._version = version
        self._union_words = unions or {}
        self._titles: dict[type[msgspec.Struct], str] = {}
        self._later: list[tuple[str, type[msgspec.Struct]]] = []
        self._unions: set[str] = set()

    def add(self, title: str, root: type[msgspec.Struct]) -> None:
        """Append the section of `root` and of every block that it leads to."""
        self._titles[root] = title
        self._later.append((title, root))
        while self._later:
            name, struct = self._later.pop(0)
            self.sections.append("\n".join(self._section(name, struct)))

    def _section(self, title: str, struct: type[msgspec.Struct]) -> Iterator[str]:
        tag = struct.__struct_config__.tag
        yield f"## {title}\n"
        yield f"{_summary(struct)}\n"
        rows = [self._row(info) for info in msgspec.structs.fields(struct)]
        if tag is not None:
            rows.insert(0, f"| `type` | `{tag}` | required |")
        yield from ("| field | type | default |", "|---|---|---|", *rows, "")

    def _row(self, info: msgspec.structs.FieldInfo) -> str:
        shown = f"`{self._version}`" if info.encode_name == "version" else self._type(info.type, info.encode_name)
        return f"| `{info.encode_name}` | {shown} | {_default(info)} |"

    def _type(self, annotation: Any, field: str) -> str:
        origin = get_origin(annotation)
        if origin is Annotated:
            bare, *metas = get_args(annotation)
            return self._annotated(bare, metas, field)
        if origin in (Union, types.UnionType):
            members = [one for one in get_args(annotation) if one not in (type(None), msgspec.UnsetType)]
            return " or ".join(self._type(member, field) for member in members)
        if origin is Literal:
            return ", ".join(f"`{value}`" for value in get_args(annotation))
        if origin is tuple:
            return f"list of {self._type(get_args(annotation)[0], field)}"
        if origin is dict:
            return f"map of text to {self._type(get_args(annotation)[1], field)}"
        return _LEAVES.get(annotation) or self._link(annotation, field)

    def _annotated(self, bare: Any, metas: list[msgspec.Meta], field: str) -> str:
        extras: dict[str, Any] = {}
        for meta in metas:
            extras |= meta.extra or {}
            if meta.description is not None:
                return meta.description
            if meta.extra_json_schema and "enum" in meta.extra_json_schema:
                return ", ".join(f"`{value}`" for value in meta.extra_json_schema["enum"])
        if "name" in extras:
            return self._choice(get_args(bare), self._union_words[extras["name"]])
        shown = _integer(metas) if bare is int else self._type(bare, field)
        limits = [f", at most {meta.max_length}" for meta in metas if meta.max_length is not None]
        return shown + "".join(limits)

    def _choice(self, members: tuple[type[msgspec.Struct], ...], block: str) -> str:
        if block not in self._unions:
            self._unions.add(block)
            for member in members:
                self._titles[member] = f"{block}: {member.__struct_config__.tag}"
                self._later.append((self._titles[member], member))
        return "one of " + ", ".join(self._link(member, block) for member in members)

    def _link(self, struct: type[msgspec.Struct], field: str) -> str:
        if struct not in self._titles:
            self._titles[struct] = field if field not in self._titles.values() else struct.__name__
            self._later.append((self._titles[struct], struct))
        tag = struct.__struct_config__.tag
        title = self._titles[struct]
        anchor = title.lower().replace(":", "").replace(" ", "-")
        return f"[`{tag or title}`](#{anchor})"


def _summary(struct: type[msgspec.Struct]) -> str:
    return (struct.__doc__ or "").partition("\n")[0]


def _default(info: msgspec.structs.FieldInfo) -> str:
    if info.required:
        return "required"
    shown = _shown_default(info)
    if shown is not None:
        return shown
    default = info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()
    if isinstance(default, msgspec.Struct):
        return "its defaults"
    if default is None or default is msgspec.NODEFAULT or (not default and default is not False and default != 0):
        return "none"
    return f"`{msgspec.json.encode(default).decode()}`" if not isinstance(default, str) else f"`{default}`"


def _integer(metas: list[msgspec.Meta]) -> str:
    highest = metas[0].le
    return f"integer, 0 to {2**64 - 1 if highest is None else highest}"


def _shown_default(info: msgspec.structs.FieldInfo) -> str | None:
    """Return a default as a field of that kind is written, or None where it says nothing about that."""
    is_list = get_origin(info.type) is tuple
    for note in _notes(get_args(info.type)[0] if is_list else info.type):
        extra = note.extra or {}
        if "default" in extra:
            return str(extra["default"])
        if "show" in extra and not is_list and info.default not in (None, "", msgspec.NODEFAULT):
            return f"`{extra['show'](info.default)}`"
    return None


def _notes(annotation: Any) -> list[msgspec.Meta]:
    """Return the notes of a type, or of the members of a union."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return [note for one in members if get_origin(one) is Annotated for note in get_args(one)[1:]]
