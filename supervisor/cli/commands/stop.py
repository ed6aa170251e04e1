"""`stop`: end scenarios of a daemon."""

import click

from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import Switch, daemon_options


@pass_globals
def _stop(_chosen: Globals, /, scenario: str | None, url: str | None, *, every: bool, as_json: bool) -> int:
    if (scenario is None) is not every:
        raise click.UsageError("expected either NAME|ID or --all", click.get_current_context())
    from supervisor.cli.daemon.client import daemon_at
    from supervisor.cli.daemon.operations import stop

    return stop(daemon_at(url), scenario, as_json=as_json)


COMMAND = Verb(
    "stop",
    "Stop the scenarios of a name or id, wait until their workers have exited, and remove them.",
    [
        click.Argument(["scenario"], required=False, metavar="[NAME|ID]"),
        Switch("--all", "every", help="stop every scenario"),
        *daemon_options(),
    ],
    _stop,
)
