"""The table, the JSON and the notes of `list`. Source: docs/command-line.md, "Catalog"."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import click

from supervisor.cli.catalog.reading import view_of
from supervisor.cli.failures import OK, CommandError
from supervisor.compiler.packs.merged import View, names

_KINDS = ("runnable", "composable")
_LAST = "uncategorized"


def print_list(directory: Path | None, kind: str | None, tag: str | None, *, as_json: bool) -> int:
    """Print the entries of the merged view that `kind` and `tag` leave over."""
    if kind is not None and kind not in _KINDS:
        raise CommandError(f"unknown --kind \"{kind}\": expected 'runnable' or 'composable'")
    view = view_of(directory)
    left = [entry for entry in view.views if kind in (None, entry.kind) and (tag is None or tag in entry.header.tags)]
    click.echo(_json(left) if as_json else _table(left))
    unusable = [entry for entry in left if entry.pack_error is not None]
    if unusable:
        click.echo(f"note: {len(unusable)} listed pack(s) cannot be referenced with `pack:`:", err=True)
        for entry in unusable:
            click.echo(f"  {entry.name}: {entry.pack_error}", err=True)
    if view.skipped:
        click.echo(f"note: {len(view.skipped)} YAML file(s) in {directory} were not listed:", err=True)
        for skipped in view.skipped:
            click.echo(f"  {skipped.path.name}: {skipped.reason}", err=True)
    return OK


def print_file(directory: Path | None, name: str) -> int:
    """Print the text of an entry as it is."""
    wanted = name.removeprefix("@")
    view = view_of(directory)
    for entry in view.views:
        if entry.name == wanted:
            click.echo(_file_bytes(entry), nl=False)
            return OK
    raise CommandError(f'unknown catalog entry "{wanted}"; available: {names(view.views)}')


def _file_bytes(entry: View) -> bytes:
    # The text was read less a byte order mark; what is shown is the file.
    return Path(entry.source).read_bytes() if entry.origin == "catalog" else entry.text.encode()


def _table(entries: Sequence[View]) -> str:
    lines = ["KIND\tNAME\tTAGS\tDESCRIPTION"]
    ordered = sorted(entries, key=lambda entry: (entry.header.category is None, entry.header.category or ""))
    for category, members in groupby(ordered, key=lambda entry: entry.header.category):
        lines += ["", f"[{category or _LAST}]"]
        lines += [_line(entry) for entry in members]
    return "\n".join(lines)


def _line(entry: View) -> str:
    marks = " (shadows builtin)" if entry.shadows_builtin else ""
    marks += " (unusable)" if entry.pack_error is not None else ""
    description = entry.header.summary
    return "\t".join((entry.kind, f"{entry.name}{marks}", ",".join(entry.header.tags), description))


def _json(entries: Sequence[View]) -> str:
    return json.dumps(
        [
            {
                "name": entry.name,
                "kind": entry.kind,
                "category": entry.header.category,
                "description": entry.header.description or "",
                "tags": list(entry.header.tags),
                "origin": entry.origin,
                "source": entry.source,
                "extends": entry.extends,
                "pack_error": entry.pack_error,
                "shadows_builtin": entry.shadows_builtin,
            }
            for entry in entries
        ],
        indent=2,
        ensure_ascii=False,
    )
