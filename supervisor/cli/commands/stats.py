"""`stats`: the figures of scenarios."""

import click

from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import daemon_options


@pass_globals
def _stats(_chosen: Globals, /, scenario: str | None, url: str | None, *, as_json: bool) -> int:
    from supervisor.cli.daemon.client import daemon_at
    from supervisor.cli.daemon.operations import print_stats

    return print_stats(daemon_at(url), scenario, as_json=as_json)


COMMAND = Verb(
    "stats",
    "Show events, rate, bytes and errors of the scenarios of a name or id, or of all.",
    [click.Argument(["scenario"], required=False, metavar="[NAME|ID]"), *daemon_options()],
    _stats,
)
