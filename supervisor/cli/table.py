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
    Listed("new", "write a scenario: from a template, a CSV file, a Prometheus range or questions", "new"),
    Listed("test", "run a scenario and check that the alerts it expects fire and resolve", "test"),
    Listed("completions", "print the completion script of a shell", "completions"),
    Listed("help", "print this help, or that of a command", "help"),
)
DAEMON: Final = (
    Listed("serve", "run the control plane: an HTTP API for scenarios", "serve"),
    Listed("relay", "run the relay for check results", "relay"),
)
OPERATIONS: Final = (
    Listed("post", "launch scenario files on a daemon", "post"),
    Listed("ps", "list the scenarios of a daemon", "ps"),
    Listed("stats", "show the figures of scenarios", "stats"),
    Listed("top", "show all scenarios on a live screen", "top"),
    Listed("logs", "show the last errors of a scenario", "logs"),
    Listed("stop", "stop scenarios", "stop"),
    Listed("check", "report a check to the relay", "check"),
    Listed("validate", "print every fault of scenario files, with its place", "validate"),
)

PROGRAMS: Final[dict[str, dict[str, tuple[Listed, ...]]]] = {
    "sonda": {"Commands": SCENARIOS},
    "sondad": {"Commands": SCENARIOS, "Daemons": DAEMON, "For a running daemon": OPERATIONS},
}


def import_command(listed: Listed) -> "click.Command":
    """Return a command with its options; imports its file."""
    command: click.Command = import_module(f"supervisor.cli.commands.{listed.module}").COMMAND
    return command
