"""GET /examples, /packs and /catalog: texts that an editor can start from.

Source: docs/http.md, "Texts to start from".
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import falcon
import msgspec

from common.errors import DecodeError
from common.specs import Spec
from common.urls import shown_headers, shown_url
from supervisor.compiler.language.packfile import parse_pack
from supervisor.compiler.packs.catalog import Catalog, CatalogEntry, read_catalog
from supervisor.compiler.packs.merged import View, merged
from supervisor.compiler.planning.config import ADDRESS_FIELDS
from supervisor.host.shipped import shipped_places
from supervisor.http.documents import ServedDocument
from supervisor.http.errors import Unreadable
from supervisor.http.routes import Route, Serves
from supervisor.reading.nodes import MappingNode, Node, ScalarNode, SequenceNode
from supervisor.reading.yaml_text import read_yaml
from supervisor.settings import Settings

_NOT_SCENARIOS: Final = frozenset({"relay"})
_UNNAMED: Final = "start the daemon with --builtin-packs or --catalog to use packs"
_MOST_BYTES: Final = 16 * 1024 * 1024
_TOO_MUCH: Final = f"the texts before it have {_MOST_BYTES // 1024 // 1024} MiB together"
_VARIABLE: Final = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_SCHEME: Final = re.compile(r"\s*(bearer|basic)?\s*", re.IGNORECASE)


F = TypeVar("F", CatalogEntry, View)


class Example(msgspec.Struct, frozen=True):
    """A scenario file that comes with the program; the title is what its comment says first."""

    name: str
    title: str
    text: str


class ExampleList(msgspec.Struct, frozen=True):
    """All of them, by name."""

    examples: list[Example]


class ListedPack(msgspec.Struct, frozen=True):
    """A pack; `body` is a scenario file that uses it, `error` says why no scenario can name it.

    `text` is null behind the first 16 MiB of texts.
    """

    name: str
    category: str | None
    description: str
    tags: tuple[str, ...]
    origin: str
    extends: str | None
    error: str | None
    text: str | None
    body: str


class PackList(msgspec.Struct, frozen=True):
    """The packs of the catalog, and the built-in ones whose names it does not take."""

    packs: list[ListedPack]


class ListedFile(msgspec.Struct, frozen=True):
    """A scenario of the catalog; where its text is withheld, `withheld` says why."""

    name: str
    kind: str
    category: str | None
    description: str
    tags: tuple[str, ...]
    text: str | None
    withheld: str | None


class SkippedFile(msgspec.Struct, frozen=True):
    """A file of the catalog that is neither a scenario nor a pack."""

    file: str
    reason: str


class ListedCatalog(msgspec.Struct, frozen=True):
    """The catalog; without one there is no directory."""

    directory: str | None
    entries: list[ListedFile]
    skipped: list[SkippedFile]


class Examples(ServedDocument):
    """The examples, read once, at start."""

    route = Route(Serves.READ)

    def __init__(self) -> None:
        folder = shipped_places()["examples"]
        texts = {
            path.relative_to(folder).with_suffix("").as_posix(): path.read_text("utf-8", errors="replace")
            for path in folder.rglob("*.yaml")
        }
        shown = [
            Example(name, _title(texts[name]), texts[name]) for name in sorted(texts) if name not in _NOT_SCENARIOS
        ]
        super().__init__(ExampleList(shown))


class Packs:
    """The packs, read at every call.

    Args:
        settings: where they may be.
    """

    # Files are read and parsed, as for a POST that names a pack.
    route = Route(Serves.CONTROL)

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the packs in the order of their names."""
        del req
        directory = self._settings.catalog
        can_be_named = directory is not None or self._settings.builtin_packs
        try:
            views = merged(directory).views
        except DecodeError as exc:
            raise Unreadable(str(exc)) from exc
        composable = [view for view in views if view.kind == "composable"]
        packs = [_pack(view, can_be_named=can_be_named, fits=fits) for view, fits in _fitting(composable)]
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(PackList(packs))

    on_head = on_get


class CatalogFiles:
    """The scenarios of the catalog, read at every call.

    Args:
        directory: the catalog; None without one.
    """

    # Files are read and parsed, as for a POST that names a pack.
    route = Route(Serves.CONTROL)

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the scenarios in the order of their names."""
        del req
        try:
            catalog = Catalog((), ()) if self._directory is None else read_catalog(self._directory)
        except DecodeError as exc:
            raise Unreadable(str(exc)) from exc
        runnable = [entry for entry in catalog.entries if entry.header.kind == "runnable"]
        entries = [_file(entry, fits=fits) for entry, fits in _fitting(runnable)]
        skipped = [SkippedFile(one.path.name, one.reason) for one in catalog.skipped]
        directory = None if self._directory is None else str(self._directory)
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(ListedCatalog(directory, entries, skipped))

    on_head = on_get


def _blocks(spec: type[Spec] = Spec) -> Iterator[type[Spec]]:
    """Yield every block that files may have."""
    for kind in spec.__subclasses__():
        yield kind
        yield from _blocks(kind)


_SECRETS: Final = frozenset(name for block in _blocks() for name in block.secrets)
_HEADERS: Final = frozenset(name for block in _blocks() for name in block.secret_entries)


def clear_secrets(text: str) -> list[str]:
    """Return where a scenario file has a secret in clear, as keys and indexes from the root.

    A value that is a variable of the environment (`${NAME}`) is none.

    Raises:
        DecodeError: it is no YAML.
    """
    return [path.removeprefix(".") for path in _secrets_below(read_yaml(text), "", "")]


def _secrets_below(node: Node, path: str, key: str) -> Iterator[str]:
    match node:
        case ScalarNode(text=text):
            left = _VARIABLE.sub("", text)
            if (key in _SECRETS and left) or (key in ADDRESS_FIELDS and shown_url(left) != left):
                yield path
        case SequenceNode(items=items):
            for place, item in enumerate(items):
                yield from _secrets_below(item, f"{path}[{place}]", key)
        case MappingNode(items=items):
            for name, value in items:
                label = name.text if isinstance(name, ScalarNode) else "?"
                if key in _HEADERS and isinstance(value, ScalarNode):
                    left = _VARIABLE.sub("", value.text)
                    if not _SCHEME.fullmatch(left) and shown_headers({label: left})[label] != left:
                        yield f"{path}.{label}"
                else:
                    yield from _secrets_below(value, f"{path}.{label}", label)


def _title(text: str) -> str:
    """Return the first sentence of a file's comment."""
    comment = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith(("# yaml-language-server", "#  ")):
            comment.append(line.removeprefix("#").strip())
    return re.split(r"(?<=[.;])\s", " ".join(comment), maxsplit=1)[0].rstrip(".;")


def _pack(view: View, *, can_be_named: bool, fits: bool) -> ListedPack:
    return ListedPack(
        name=view.name,
        category=view.header.category,
        description=view.header.summary,
        tags=view.header.tags,
        origin=view.origin,
        extends=view.extends,
        error=view.pack_error or (None if can_be_named else _UNNAMED),
        text=view.text if fits else None,
        body=_body(view),
    )


def _body(view: View) -> str:
    """Return a scenario file that uses a pack; labels that the pack leaves empty are there to be filled in."""
    try:
        shared = parse_pack(view.text)[0].shared_labels or {}
    except DecodeError:
        shared = {}
    empty = "".join(f"      {json.dumps(key)}: {json.dumps(key)}\n" for key, value in shared.items() if not value)
    labels = f"    labels:\n{empty}" if empty else ""
    return (
        "version: 2\ndefaults:\n  rate: 1\n  duration: 5m\n  sink: {type: memory}\nscenarios:\n"
        f"  - signal_type: metrics\n    pack: {json.dumps(view.name, ensure_ascii=False)}\n{labels}"
    )


def _fitting(entries: Sequence[F]) -> Iterator[tuple[F, bool]]:
    """Yield each with whether its text has room in the answer."""
    left = _MOST_BYTES
    for entry in entries:
        left -= len(entry.text)
        yield entry, left >= 0


def _file(entry: CatalogEntry, *, fits: bool) -> ListedFile:
    secrets = clear_secrets(entry.text) if fits else []
    reason = None if fits else _TOO_MUCH
    if secrets:
        reason = f"it holds a secret at {', '.join(secrets[:3])}: write it as ${{NAME}} to see the text here"
    return ListedFile(
        name=entry.name,
        kind=str(entry.header.kind),
        category=entry.header.category,
        description=entry.header.summary,
        tags=entry.header.tags,
        text=entry.text if reason is None else None,
        withheld=reason,
    )
