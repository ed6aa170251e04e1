"""The merged view: what a catalog directory holds, and every built-in pack that nothing in it has the name of.

Source: docs/command-line.md, "Catalog".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.errors import DecodeError
from supervisor.compiler.language.packfile import PackFile, check_addressable, parse_pack
from supervisor.compiler.packs.catalog import Catalog, CatalogEntry, CatalogHeader, Skipped, read_catalog
from supervisor.compiler.packs.resolver import builtin_packs, is_path
from supervisor.reading.decode import decode
from supervisor.reading.yaml_text import read_yaml


@dataclass(frozen=True, slots=True)
class View:
    """One entry of the merged view.

    Attributes:
        source: the file, as the directory was given; `<builtin>/FILE` for a built-in pack.
        text: the whole file.
        extends: the base of a pack.
        pack_error: why a pack cannot be referenced; None when it can, and for scenarios.
    """

    name: str
    kind: str
    header: CatalogHeader
    origin: Literal["builtin", "catalog"]
    source: str
    text: str
    extends: str | None
    pack_error: str | None
    shadows_builtin: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged view.

    Attributes:
        views: in byte order of their names.
        skipped: files of the directory that are no entries, by path.
    """

    views: tuple[View, ...]
    skipped: tuple[Skipped, ...]


def merged(directory: Path | None) -> Merged:
    """Return the view over `directory`, or over the built-in packs alone.

    Raises:
        DecodeError: the directory cannot be enumerated.
    """
    catalog = Catalog((), ()) if directory is None else read_catalog(directory)
    builtin = builtin_packs()
    packs = {entry.name: entry.text for entry in catalog.entries if entry.header.kind == "composable"}
    bases = _Bases(builtin | packs)
    views = [_catalog_view(entry, bases, shadows=entry.name in builtin) for entry in catalog.entries]
    taken = {entry.name for entry in catalog.entries}
    views += [_builtin_view(name, text, bases) for name, text in builtin.items() if name not in taken]
    return Merged(tuple(sorted(views, key=lambda view: view.name)), catalog.skipped)


class _Bases:
    """Judges packs against what may be referenced by name."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def judge(self, text: str) -> tuple[str | None, str | None]:
        """Return the base of a pack, and why the pack cannot be referenced."""
        try:
            pack, _unknown = parse_pack(text)
        except DecodeError as exc:
            return None, str(exc)
        return pack.extends, self._error(pack)

    def _error(self, pack: PackFile) -> str | None:
        try:
            check_addressable(pack)
        except DecodeError as exc:
            return str(exc)
        if pack.extends is None:
            if pack.deviations:
                return (
                    f"pack '{pack.name}' declares {len(pack.deviations)} deviation(s) but no `extends:`; there is no "
                    "base to deviate from"
                )
            return None
        return self._chain_error(pack, pack.extends)

    def _chain_error(self, pack: PackFile, base: str) -> str | None:
        seen = [pack.name]
        while not is_path(base):
            if base in seen:
                return f"extension cycle: {' -> '.join([*seen, base])}"
            if base not in self._texts:
                return f"extends '{base}', which is not in this catalog"
            seen.append(base)
            try:
                following = parse_pack(self._texts[base])[0].extends
            except DecodeError as exc:
                return f"extends '{base}': {exc}"
            if following is None:
                return None
            base = following
        return None


def names(views: Iterable[View]) -> str:
    """Return the names as errors list them."""
    return ", ".join(view.name for view in views) or "<empty>"


def _catalog_view(entry: CatalogEntry, bases: _Bases, *, shadows: bool) -> View:
    kind = str(entry.header.kind)
    extends, error = bases.judge(entry.text) if kind == "composable" else (None, None)
    return View(entry.name, kind, entry.header, "catalog", str(entry.path), entry.text, extends, error, shadows)


def _builtin_view(name: str, text: str, bases: _Bases) -> View:
    header, _unknown = decode(read_yaml(text), CatalogHeader)
    source = f"<builtin>/{name.replace('_', '-')}.yaml"
    extends, error = bases.judge(text)
    return View(name, "composable", header, "builtin", source, text, extends, error, shadows_builtin=False)
