"""`retune`: change running scenarios of a daemon."""

import click

from supervisor.cli.grammar import Globals, Verb, pass_globals
from supervisor.cli.options import daemon_options


@pass_globals
def _retune(_chosen: Globals, /, scenario: str, changes: tuple[str, ...], url: str | None, *, as_json: bool) -> int:
    from supervisor.cli.daemon.client import daemon_at
    from supervisor.cli.daemon.retuning import retune

    return retune(daemon_at(url), scenario, changes, as_json=as_json)


COMMAND = Verb(
    "retune",
    "Change running scenarios of a name or id from their next tick on: `rate=20`, `duration=10m`, `labels.zone=b`, "
    "or `generator.amplitude=3`; values are YAML, and `null` removes.",
    [
        click.Argument(["scenario"], metavar="NAME|ID"),
        click.Argument(["changes"], nargs=-1, required=True, metavar="FIELD=VALUE..."),
        *daemon_options(),
    ],
    _retune,
)
