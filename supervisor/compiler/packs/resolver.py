"""Pack references to packs, the chain of their bases folded in. Source: docs/scenarios.md, "Packs"."""

import logging
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from common.errors import DecodeError
from common.logs import fields
from common.units import clip, quote
from supervisor.compiler.language.packfile import PackFile, check_addressable, fold, parse_pack
from supervisor.compiler.packs.catalog import Catalog, CatalogEntry, read_catalog, read_text, warn_of_broken
from supervisor.reading.messages import MAX_UNKNOWN_LISTED, did_you_mean

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackSources:
    """Where packs may come from.

    Attributes:
        catalog: a directory that is searched for names, before the built-in packs.
        builtin: whether the built-in packs are searched without a catalog too.
        files: whether a reference may be a path; a posted body never reads one.
    """

    catalog: Path | None = None
    builtin: bool = False
    files: bool = False


@cache
def builtin_packs() -> dict[str, str]:
    """Return the text of every built-in pack by its name, in byte order of the names."""
    folder = resources.files("supervisor.compiler.packs") / "builtin"
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".yaml")}
    return {name.removesuffix(".yaml").replace("-", "_"): texts[name] for name in sorted(texts)}


class Resolver:
    """Resolves the references of one body; a catalog is read at most once for it."""

    def __init__(self, sources: PackSources) -> None:
        self._sources = sources
        self._catalog: Catalog | None = None
        self._packs: dict[str, PackFile] = {}

    def pack(self, reference: str) -> PackFile:
        """Return the pack that `reference` names, with all its bases folded in and addressable.

        Raises:
            DecodeError: it cannot be found, read or folded.
        """
        chain = self._chain(reference)
        root = chain[-1]
        if root.deviations:
            raise DecodeError(
                f"pack '{clip(root.name)}' declares {len(root.deviations)} deviation(s) but no `extends:`; there is no "
                "base to deviate from"
            )
        pack = root
        _require_addressable(pack)
        for extension in reversed(chain[:-1]):
            pack = fold(pack, extension)
            _require_addressable(pack)
        return pack

    def _chain(self, reference: str) -> list[PackFile]:
        """Return the pack, its base, the base of that and so on."""
        references = [reference]
        try:
            chain = [self._load(reference)]
        except DecodeError as exc:
            raise DecodeError(f"pack '{clip(reference)}' could not be resolved: {exc}", hint=exc.hint) from exc
        while (base := chain[-1].extends) is not None:
            references.append(base)
            if base in references[:-1]:
                raise DecodeError(f"extension cycle: {' -> '.join(clip(name) for name in references)}")
            try:
                chain.append(self._load(base))
            except DecodeError as exc:
                raise DecodeError(
                    f"pack '{clip(chain[-1].name)}' extends '{clip(base)}', which could not be resolved: {exc}"
                ) from exc
        return chain

    def _load(self, reference: str) -> PackFile:
        if reference not in self._packs:
            path, text = self._file(reference) if is_path(reference) else self._named(reference)
            try:
                self._packs[reference], unknown = parse_pack(text)
            except DecodeError as exc:
                raise DecodeError(f"cannot parse pack definition for {quote(clip(reference))}: {exc}") from exc
            for key in unknown[:MAX_UNKNOWN_LISTED]:
                # Files of a catalog may have been written for other versions.
                logger.warning("pack %s: ignoring %s", path, key.fault, extra=fields(path=path))
        return self._packs[reference]

    def _file(self, reference: str) -> tuple[str, str]:
        if not self._sources.files:
            raise DecodeError(f"pack reference '{clip(reference)}' not found in resolver")
        try:
            return reference, read_text(Path(reference))
        except (DecodeError, ValueError) as exc:
            raise DecodeError(f"cannot read pack file {quote(clip(reference))}: {exc}") from exc

    def _named(self, reference: str) -> tuple[str, str]:
        directory = self._sources.catalog
        if directory is None and not self._sources.builtin:
            raise DecodeError(
                f"pack {quote(clip(reference))} referenced by name but --catalog <dir> not provided (nor "
                "--builtin-packs)"
            )
        listed: list[str] = []
        names: dict[str, CatalogEntry] = {}
        if directory is not None:
            names = {entry.name: entry for entry in self._entries(directory) if entry.header.kind == "composable"}
            if reference in names:
                return str(names[reference].path), names[reference].text
            listed.append(f"catalog {directory}: {', '.join(names) or '<none>'}")
        builtin = builtin_packs()
        if reference in builtin:
            return f"@{reference}", builtin[reference]
        listed.append(f"builtin: {', '.join(builtin)}")
        advice = "" if directory else "; pass --catalog <dir> to resolve packs of your own"
        raise DecodeError(
            f"unknown pack {quote(clip(reference))}; composable entries: {'; '.join(listed)}{advice}",
            hint=did_you_mean(reference, [*names, *builtin]),
        )

    def _entries(self, directory: Path) -> tuple[CatalogEntry, ...]:
        if self._catalog is None:
            try:
                self._catalog = read_catalog(directory)
            except DecodeError as exc:
                raise DecodeError(f"cannot enumerate catalog dir {directory}: {exc}") from exc
            warn_of_broken(self._catalog)
        return self._catalog.entries


def is_path(reference: str) -> bool:
    """Say whether a pack reference is a path and not a name."""
    return "/" in reference or reference.startswith(".")


def _require_addressable(pack: PackFile) -> None:
    try:
        check_addressable(pack)
    except DecodeError as exc:
        raise DecodeError(f"pack '{clip(pack.name)}' is not addressable: {exc}") from exc
