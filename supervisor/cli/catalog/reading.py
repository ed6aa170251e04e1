"""The catalog as commands read it: what is wrong with it ends them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import DecodeError
from supervisor.cli.failures import CommandError
from supervisor.compiler.packs.catalog import Catalog, read_catalog
from supervisor.compiler.packs.merged import Merged, merged


def catalog_of(directory: Path) -> Catalog:
    """Return what `directory` holds.

    Raises:
        CommandError: it cannot be enumerated.
    """
    with _ending():
        return read_catalog(directory)


def view_of(directory: Path | None) -> Merged:
    """Return the view over `directory`, or over the built-in packs alone.

    Raises:
        CommandError: the directory cannot be enumerated.
    """
    with _ending():
        return merged(directory)


@contextmanager
def _ending() -> Iterator[None]:
    try:
        yield
    except DecodeError as exc:
        raise CommandError(str(exc)) from exc
