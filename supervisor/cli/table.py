"""The table of commands. A new command is one line here and one file under `commands/`."""

from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import click


class Listed(NamedTuple):
    """A command as the full help lists it; `module` holds it as `COMMAND`."""

    name: str
    summary: str
    module: str


SCENARIOS: Final = (
    Listed("run", "run a scenario file", "run"),
    Listed("list", "list the scenarios and packs of a catalog, and the built-in packs", "list"),
    Listed("show", "print a file of the catalog or a built-in pack", "show"),
    Listed("completions", "print the completion script of a shell", "completions"),
    Listed("help", "print this help, or that of a command", "help"),
)
DAEMON: Final = (
    Listed("serve", "run the control plane: an HTTP API for scenarios", "serve"),
    Listed("relay", "run the relay for check results", "relay"),
)

PROGRAMS: Final[dict[str, dict[str, tuple[Listed, ...]]]] = {
    "sonda": {"Commands": SCENARIOS},
    "sondad": {"Commands": SCENARIOS, "Daemons": DAEMON},
}


def import_command(listed: Listed) -> "click.Command":
    """Return a command with its options; imports its file."""
    command: click.Command = import_module(f"supervisor.cli.commands.{listed.module}").COMMAND
    return command
