"""Tables for people, JSON for scripts."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

_WIDE = 10_000


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns under headings; what a terminal has no room for is cut, a pipe gets everything."""
    from rich.console import Console
    from rich.table import Table

    is_terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, header_style="bold" if is_terminal else "")
    for heading in headings:
        table.add_column(
            heading, no_wrap=True, justify="right" if heading.isupper() and heading in _NUMBERS else "left"
        )
    for row in rows:
        table.add_row(*row)
    Console(width=None if is_terminal else _WIDE, highlight=False, markup=False, soft_wrap=False).print(table)


def rate_now(figures: dict[str, Any]) -> float:
    """Return the events per second of a scenario as people understand it: a finished one has none.

    The figures of a daemon keep the last rate that was measured.
    """
    return 0.0 if figures["state"] == "finished" else float(figures["current_rate"])


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


_NUMBERS = frozenset({"EVENTS", "RATE", "TARGET", "BYTES", "ERRORS", "ELAPSED"})
