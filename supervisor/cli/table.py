"""The table of commands. A new command is one line here and one file under `commands/`."""

from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import click


class ListedCommand(NamedTuple):
    """A command as the full help lists it; `module` holds it as `COMMAND`."""

    name: str
    summary: str
    module: str


SCENARIOS: Final = (
    ListedCommand("run", "run a scenario file", "run"),
    ListedCommand("list", "list the scenarios and packs of a catalog, and the built-in packs", "list"),
    ListedCommand("show", "print a file of the catalog or a built-in pack", "show"),
    ListedCommand("new", "write a scenario: from a template, a CSV file, a Prometheus range or questions", "new"),
    ListedCommand("test", "run a scenario and check that the alerts it expects fire and resolve", "test"),
    ListedCommand("completions", "print the completion script of a shell", "completions"),
    ListedCommand("help", "print this help, or that of a command", "help"),
)
DAEMON: Final = (
    ListedCommand("serve", "run the control plane: an HTTP API for scenarios", "serve"),
    ListedCommand("relay", "run the relay for check results", "relay"),
    ListedCommand("config", "check the configuration file of the daemon", "config"),
    ListedCommand("files", "show where the units, examples and pages of this installation are", "files"),
)
OPERATIONS: Final = (
    ListedCommand("post", "launch scenario files on a daemon", "post"),
    ListedCommand("ps", "list the scenarios of a daemon", "ps"),
    ListedCommand("stats", "show the figures of scenarios", "stats"),
    ListedCommand("top", "show all scenarios on a live screen", "top"),
    ListedCommand("logs", "show the last errors of a scenario", "logs"),
    ListedCommand("retune", "change scenarios while they run", "retune"),
    ListedCommand("stop", "stop scenarios", "stop"),
    ListedCommand("check", "report a check to the relay", "check"),
    ListedCommand("validate", "print every fault of scenario files, with its place", "validate"),
    ListedCommand("fleet", "run one scenario over several hosts, and see or stop it there", "fleet"),
)

PROGRAMS: Final[dict[str, dict[str, tuple[ListedCommand, ...]]]] = {
    "sonda": {"Commands": SCENARIOS},
    "sondad": {"Commands": SCENARIOS, "Daemons": DAEMON, "For a running daemon": OPERATIONS},
}


def import_command(listed: ListedCommand) -> "click.Command":
    """Return a command with its options; imports its file."""
    command: click.Command = import_module(f"supervisor.cli.commands.{listed.module}").COMMAND
    return command
