"""`show`: a file of the catalog or a built-in pack, byte for byte."""

import click

from supervisor.cli.grammar import Globals, Verb, pass_globals


@pass_globals
def _show(chosen: Globals, name: str) -> int:
    from supervisor.cli.catalog.listing import print_file

    return print_file(chosen.catalog, name)


COMMAND = Verb(
    "show",
    "Print a file of the catalog (`--catalog DIR`) or a built-in pack, as it is.",
    [click.Argument(["name"], metavar="NAME")],
    _show,
)
