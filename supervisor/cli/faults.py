"""Every fault of a scenario file, as people read it: `FILE:LINE:COLUMN: PATH: what is wrong`, and a hint."""

from collections.abc import Iterable, Mapping
from typing import Any

import click


def print_faults(file: str, faults: Iterable[Mapping[str, Any]]) -> None:
    """Print faults with their places and hints on stderr.

    Args:
        file: as it was named.
        faults: as `POST /scenarios` answers with them.
    """
    for fault in faults:
        place = "".join(f":{fault[part]}" for part in ("line", "column") if fault.get(part))
        path = f"{fault['path']}: " if fault.get("path") else ""
        click.echo(f"{file}{place}: {path}{fault['message']}", err=True)
        if fault.get("hint"):
            click.echo(f"  hint: {fault['hint']}", err=True)
