"""How a scenario file is written: the order of keys, numbers without exponents, texts that read back as texts.

Source: docs/command-line.md, "new".
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from common.errors import os_error_text
from common.units import number_text
from supervisor.cli.failures import OK, CommandError

_BARE: Final = re.compile(r"(\.?/)?[A-Za-z_][A-Za-z0-9_./-]*|[0-9]+(\.[0-9]+)?(ms|s|m|h)")
_NOT_TEXTS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"})

HEAD: Final = "version: 2\nkind: runnable\n"


class Quoted(str):
    """A text that is written in quotes, whatever it is."""

    __slots__ = ()


def defaults(duration: str = "60s", rate: float | int = 1) -> dict[str, Any]:
    """Return what all entries of a new file share."""
    return {
        "rate": rate,
        "duration": duration,
        "encoder": {"type": "prometheus_text"},
        "sink": {"type": "stdout"},
    }


def block(value: Mapping[str, Any], indent: int = 0) -> Iterator[str]:
    """Yield the lines of a mapping."""
    margin = " " * indent
    for key, inner in value.items():
        match inner:
            case dict() if inner:
                yield f"{margin}{scalar(key)}:"
                yield from block(inner, indent + 2)
            case list() if inner and isinstance(inner[0], dict):
                yield f"{margin}{scalar(key)}:"
                yield from items(inner, indent + 2)
            case _:
                yield f"{margin}{scalar(key)}: {scalar(inner)}"


def items(values: Sequence[Mapping[str, Any]], indent: int) -> Iterator[str]:
    """Yield the lines of a list of mappings."""
    for value in values:
        first, *rest = block(value, indent + 2)
        yield f"{' ' * indent}- {first.lstrip()}"
        yield from rest


def scalar(value: Any) -> str:
    """Return a value on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            text = number_text(value)
            return text if "." in text or not value.is_integer() else f"{text}.0"
        case str():
            is_bare = not isinstance(value, Quoted) and _BARE.fullmatch(value) and value.lower() not in _NOT_TEXTS
            # A single `$` may begin a reference to the environment.
            return value if is_bare else json.dumps(value.replace("$", "$$"), ensure_ascii=False)
        case list():
            return f"[{', '.join(scalar(inner) for inner in value)}]"
        case _:
            return "{}"


def deliver(text: str, output: str | None) -> int:
    """Write a new file, or print it where no path is given; returns the exit code.

    Raises:
        CommandError: it cannot be written.
    """
    if output is None:
        click.echo(text, nl=False)
        return OK
    write_file(output, text)
    click.echo(f"wrote {output}", err=True)
    return OK


def write_file(output: str, text: str) -> None:
    """Write a file, its parent directories made where they are missing.

    Raises:
        CommandError: it cannot be written.
    """
    path = Path(output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise CommandError(f"failed to create parent dir {path.parent}: {os_error_text(exc)}") from exc
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as exc:
        raise CommandError(f"failed to write {output}: {os_error_text(exc)}") from exc
