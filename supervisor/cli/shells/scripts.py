"""The shells. A new one is one file and one line here."""

from collections.abc import Callable
from typing import Final

from supervisor.cli.shells import bash, elvish, fish, powershell, zsh
from supervisor.cli.shells.surface import Flag, Surface, surfaces

SCRIPTS: Final[dict[str, Callable[[str, list[Flag], list[Surface]], str]]] = {
    "bash": bash.script,
    "zsh": zsh.script,
    "fish": fish.script,
    "powershell": powershell.script,
    "elvish": elvish.script,
}


def completion_script(program: str, shell: str) -> str:
    """Return the script that completes `program` in `shell`."""
    flags, headed = surfaces(program)
    return SCRIPTS[shell](program, flags, [command for part in headed.values() for command in part])
