"""`config`: the configuration file of the daemon."""

from pathlib import Path

import click

from supervisor.cli.failures import FAILED, OK
from supervisor.cli.grammar import Globals, Verb, pass_globals


@pass_globals
def _config(_chosen: Globals, /, action: str, file: str | None) -> int:  # noqa: ARG001 - there is one
    from common.errors import FlagFileError
    from supervisor.flags.file import exposed_secret, words_of
    from supervisor.flags.parser import DEFAULT_FILE, build_parser

    path = DEFAULT_FILE if file is None else Path(file)
    try:
        words_of(path, build_parser("sondad serve", with_relay=True))
        warning = exposed_secret(path)
    except FlagFileError as exc:
        for fault in exc.faults:
            click.echo(fault, err=True)
        return FAILED
    if warning is not None:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{path}: valid")
    return OK


COMMAND = Verb(
    "config",
    "Check the configuration file of the daemon, by default /etc/sondad/sondad.yaml; print every fault with its place.",
    [click.Argument(["action"], type=click.Choice(["check"])), click.Argument(["file"], required=False)],
    _config,
)
