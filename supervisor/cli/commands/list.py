"""`list`: the entries of a catalog and the built-in packs."""

from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import Once, Switch


@pass_globals
def _list(chosen: Globals, kind: str | None, tag: str | None, as_json: bool) -> int:
    from supervisor.cli.catalog.listing import print_list

    return print_list(chosen.catalog, kind, tag, as_json=as_json)


COMMAND = Verb(
    "list",
    "List the scenarios and packs of a catalog (`--catalog DIR`), and the built-in packs.",
    [
        Once("--kind", metavar="KIND", help="only entries of this kind: runnable or composable"),
        Once("--tag", metavar="TAG", help="only entries with this tag"),
        Switch("--json", "as_json", help="print JSON"),
    ],
    _list,
)
