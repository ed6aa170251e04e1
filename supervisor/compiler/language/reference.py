"""The reference of scenario and pack files as a page, made of the annotations that the decoder follows.

Run as `python -m supervisor.compiler.language.reference`. A block is a table of its fields; blocks inside others follow
them.
Source: docs/scenarios.md, "Entry" and "Packs".
"""

import sys
import types
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from common.specs import Spec
from supervisor.compiler.language.availability import NOT_YET_RUNNABLE
from supervisor.compiler.language.blocks import ScenarioFile
from supervisor.compiler.language.document import VERSION
from supervisor.compiler.language.packfile import PackFile

_HEAD: Final = """\
# Scenario file reference

Every field of scenario files and packs with its type, its bounds and its default, generated from the program:
`python -m supervisor.compiler.language.reference > docs/reference.md`. What the fields mean is in
[scenario files](scenarios.md); [`scenario.schema.json`](scenario.schema.json) is the same for editors.

A duration is a text: a positive number and `ms`, `s`, `m` or `h`, as `500ms` or `1.5h`; zero is `0s`. An optional field
may be `null`. A file with one entry may have the entry's fields at the top level, instead of `scenarios`.
"""
_ROOTS: Final[dict[str, type[Spec]]] = {"Scenario file": ScenarioFile, "Pack": PackFile}
_UNIONS: Final = {
    "GeneratorConfig": "generator",
    "LogGeneratorConfig": "log_generator",
    "DistributionConfig": "distribution",
    "EncoderConfig": "encoder",
    "SinkConfig": "sink",
}
_LEAVES: Final[dict[Any, str]] = {str: "text", float: "number", bool: "`true` or `false`"}


def reference() -> str:
    """Return the page, in Markdown."""
    page = _Page()
    for title, struct in _ROOTS.items():
        page.add(title, struct)
    return "\n".join([_HEAD, *page.sections])


class _Page:
    """Sections in the order in which fields first name them."""

    def __init__(self) -> None:
        self.sections: list[str] = []
        self._titles: dict[type[Spec], str] = {}
        self._later: list[tuple[str, type[Spec]]] = []
        self._unions: set[str] = set()

    def add(self, title: str, root: type[Spec]) -> None:
        """Append the section of `root` and of every block that it leads to."""
        self._titles[root] = title
        self._later.append((title, root))
        while self._later:
            name, struct = self._later.pop(0)
            self.sections.append("\n".join(self._section(name, struct)))

    def _section(self, title: str, struct: type[Spec]) -> Iterator[str]:
        tag = struct.__struct_config__.tag
        yield f"## {title}\n"
        yield f"{_summary(struct)}\n"
        rows = [self._row(info) for info in msgspec.structs.fields(struct)]
        if tag is not None:
            rows.insert(0, f"| `type` | `{tag}` | required |")
        yield from ("| field | type | default |", "|---|---|---|", *rows, "")

    def _row(self, info: msgspec.structs.FieldInfo) -> str:
        shown = f"`{VERSION}`" if info.encode_name == "version" else self._type(info.type, info.encode_name)
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
            return self._choice(get_args(bare), _UNIONS[extras["name"]])
        shown = _integer(metas) if bare is int else self._type(bare, field)
        limits = [f", at most {meta.max_length}" for meta in metas if meta.max_length is not None]
        return shown + "".join(limits)

    def _choice(self, members: tuple[type[Spec], ...], block: str) -> str:
        if block not in self._unions:
            self._unions.add(block)
            for member in members:
                self._titles[member] = f"{block}: {member.__struct_config__.tag}"
                self._later.append((self._titles[member], member))
        return "one of " + ", ".join(self._link(member, block) for member in members)

    def _link(self, struct: type[Spec], field: str) -> str:
        if struct not in self._titles:
            self._titles[struct] = field if field not in self._titles.values() else struct.__name__
            self._later.append((self._titles[struct], struct))
        tag = struct.__struct_config__.tag
        title = self._titles[struct]
        anchor = title.lower().replace(":", "").replace(" ", "-")
        if tag is not None and tag in NOT_YET_RUNNABLE.get(title.partition(":")[0], ()):
            return f"[`{tag}`](#{anchor}) (not in this release)"
        return f"[`{tag or title}`](#{anchor})"


def _summary(struct: type[Spec]) -> str:
    return (struct.__doc__ or "").partition("\n")[0]


def _default(info: msgspec.structs.FieldInfo) -> str:
    if info.required:
        return "required"
    default = info.default
    if default is None or default is msgspec.NODEFAULT or default == ():
        return "none"
    return f"`{msgspec.json.encode(default).decode()}`" if not isinstance(default, str) else f"`{default}`"


def _integer(metas: list[msgspec.Meta]) -> str:
    highest = metas[0].le
    return f"integer, 0 to {2**64 - 1 if highest is None else highest}"


if __name__ == "__main__":
    sys.stdout.write(reference())
