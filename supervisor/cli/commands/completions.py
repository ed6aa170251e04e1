"""`completions SHELL`: a completion script on stdout."""

import click

from supervisor.cli.grammar import Globals, Verb, pass_globals


@pass_globals
def _print(chosen: Globals, shell: str) -> int:
    from supervisor.cli.shells.scripts import completion_script

    click.echo(completion_script(chosen.program, shell), nl=False)
    return 0


COMMAND = Verb(
    "completions",
    "Print the completion script of a shell, generated from the commands and options of this program.",
    [click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish", "powershell", "elvish"]))],
    _print,
)
