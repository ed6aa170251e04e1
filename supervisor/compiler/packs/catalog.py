"""The catalog directory: scenario files and packs under names. Read again at every use.

Source: docs/scenarios.md, "Packs".
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.errors import DecodeError, os_error_text
from common.specs import Spec
from common.units import clip, quote
from supervisor.reading.decode import decode
from supervisor.reading.yaml_text import read_yaml

logger = logging.getLogger(__name__)

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""Of one scenario file or pack on disk."""

SUFFIXES: Final = frozenset({".yaml", ".yml"})


class UnlistableError(DecodeError):
    """A catalog that is there and cannot be listed."""


class CatalogHeader(Spec, frozen=True, kw_only=True):
    """The fields of a file that the catalog looks at; others are not read."""

    kind: str | None = None
    scenario_name: str | None = None
    name: str | None = None
    description: str | None = None
    category: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The description on one line; empty without one."""
        return " ".join((self.description or "").split())


@dataclass(frozen=True)
class CatalogEntry:
    """A file of the catalog.

    Attributes:
        name: under which it is used: `scenario_name`, else `name`, else the file's stem with `-` for `_`.
        path: the directory as given, joined with the file's name.
        header: what the file says of itself; its kind is `runnable` or `composable`.
        text: the whole file.
    """

    name: str
    path: Path
    header: CatalogHeader
    text: str


@dataclass(frozen=True)
class Skipped:
    """A YAML file that is not an entry, and why; `broken` when it does not even say what it is."""

    path: Path
    reason: str
    broken: bool = False


@dataclass(frozen=True)
class Catalog:
    """What a directory holds.

    Attributes:
        entries: in byte order of their names.
        skipped: by path.
    """

    entries: tuple[CatalogEntry, ...]
    skipped: tuple[Skipped, ...]


def read_catalog(directory: Path) -> Catalog:
    """Return what `directory` holds, without its subdirectories.

    Raises:
        UnlistableError: the directory cannot be listed.
        DecodeError: there is no such directory, two entries have one name, or a file's name is not UTF-8.
    """
    if not directory.is_dir():
        raise DecodeError(f"catalog dir {directory} does not exist or is not a directory")
    entries: dict[str, CatalogEntry] = {}
    skipped: list[Skipped] = []
    for path in _candidates(directory):
        read = _read(path)
        if isinstance(read, Skipped):
            skipped.append(read)
        elif read.name in entries:
            raise DecodeError(
                f"catalog {directory} contains duplicate entry name {quote(clip(read.name))}: "
                f"{entries[read.name].path} and {path}"
            )
        else:
            entries[read.name] = read
    return Catalog(tuple(entries[name] for name in sorted(entries)), tuple(skipped))


def warn_of_broken(catalog: Catalog) -> None:
    """Log the files that were skipped because nothing can be made of them, in the words that clients look for."""
    for skipped in catalog.skipped:
        if skipped.broken:
            logger.warning("warning: catalog: skipping %s: %s", skipped.path, skipped.reason)


def read_text(path: Path) -> str:
    """Return a UTF-8 file of at most `MAX_FILE_BYTES`.

    Raises:
        DecodeError: it cannot be opened, is too large or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise DecodeError(os_error_text(exc)) from exc
    if len(content) > MAX_FILE_BYTES:
        raise DecodeError(f"the file has more than {MAX_FILE_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DecodeError(f"not UTF-8: {exc.reason} at byte {exc.start}") from exc


def _candidates(directory: Path) -> Iterator[Path]:
    try:
        paths = sorted(directory / name for name in os.listdir(directory))  # noqa: PTH208 - joined with it as given
        yield from [path for path in paths if path.suffix in SUFFIXES and path.is_file()]
    except OSError as exc:
        raise UnlistableError(f"catalog dir {directory}: {os_error_text(exc)}") from exc


def _read(path: Path) -> CatalogEntry | Skipped:
    try:
        text = read_text(path)
    except DecodeError as exc:
        return Skipped(path, f"unreadable: {exc}", broken=True)
    try:
        header, _unknown = decode(read_yaml(text), CatalogHeader)
    except DecodeError as exc:
        return Skipped(path, f"unparseable YAML: {exc}", broken=True)
    if header.kind is None:
        return Skipped(path, "no `kind:` header")
    if header.kind not in ("runnable", "composable"):
        return Skipped(path, f"kind: {quote(clip(header.kind))} is neither 'runnable' nor 'composable'")
    name = header.scenario_name if header.scenario_name is not None else header.name
    if name is None:
        name = path.stem.replace("_", "-")
        if any("\ud800" <= char <= "\udfff" for char in name):
            raise DecodeError(f"cannot derive name from filename {os.fsencode(path).decode(errors='replace')}")
    return CatalogEntry(name, path, header, text)
