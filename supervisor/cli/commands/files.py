"""`files`: where an installation keeps what is no program."""

import click

from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.host.shipped import shipped_places

_SHARED = ("units", "examples", "docs", "man")


@pass_globals
def _files(_chosen: Globals, /, what: str | None) -> int:
    places = shipped_places()
    if what is not None:
        click.echo(places[what])
        return 0
    for name, place in places.items():
        click.echo(f"{name:<8}  {place}")
    return 0


COMMAND = Verb(
    "files",
    "Print the directories of the systemd units, the examples, the documentation and the man pages, or one of them.",
    [click.Argument(["what"], required=False, type=click.Choice(_SHARED))],
    _files,
)
