"""`logs`: what went wrong last with scenarios of a daemon."""

import click

from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import daemon_options


@pass_globals
def _logs(_chosen: Globals, /, scenario: str, url: str | None, *, as_json: bool) -> int:
    from supervisor.cli.daemon.client import daemon_at
    from supervisor.cli.daemon.operations import print_errors

    return print_errors(daemon_at(url), scenario, as_json=as_json)


COMMAND = Verb(
    "logs",
    "Show the last errors of the scenarios of a name or id: why they ended, and what their sinks reported.",
    [click.Argument(["scenario"], metavar="NAME|ID"), *daemon_options()],
    _logs,
)
