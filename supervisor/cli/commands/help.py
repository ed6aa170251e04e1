"""`help [COMMAND]`."""

import click

from supervisor.cli.grammar import Verb


@click.pass_context
def _print(context: click.Context, command: str | None) -> int:
    root = context.find_root()
    shown: click.Command = root.command
    if command is not None:
        found = root.command.get_command(root, command) if isinstance(root.command, click.Group) else None
        if found is None:
            raise click.UsageError(f"unrecognized subcommand '{command}'", root)
        if not isinstance(found, Verb):
            with found.make_context(command, ["--help"], parent=root) as passed_on:
                return int(found.invoke(passed_on) or 0)
        shown = found
        root = click.Context(found, info_name=command, parent=root)
    with root:
        click.echo(shown.get_help(root))
    return 0


COMMAND = Verb(
    "help",
    "Print the full help, or that of one command.",
    [click.Argument(["command"], required=False, metavar="[COMMAND]")],
    _print,
)
