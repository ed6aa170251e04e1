"""The command line before it does anything: help costs nothing, faults have one form."""

import subprocess
import sys

import pytest

from supervisor.cli.shells.surface import surfaces

HEAVY = ("numpy", "msgspec", "yaml", "falcon", "rich", "multiprocessing", "supervisor.compiler", "supervisor.engine")
SHOW_IMPORTS = "import sys; from supervisor.cli.program import run; run({name!r}, {arguments!r}); print(*sys.modules)"


@pytest.mark.parametrize("arguments", [["--help"], [], ["help"], ["list", "--help"], ["frobnicate"]])
@pytest.mark.parametrize("name", ["sonda", "sondad"])
def test_help_imports_nothing_heavy(name: str, arguments: list[str]) -> None:
    """Help and usage errors answer at once: nothing is imported that only a command needs."""
    source = SHOW_IMPORTS.format(name=name, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    assert not set(HEAVY) & set(done.stdout.splitlines()[-1].split())


def test_the_full_help_lists_the_commands_of_scenarios_in_their_order() -> None:
    """Clients read the block behind `Commands:` up to the first line that is not indented."""
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    before, heading, behind = done.stdout.partition("Commands:\n")
    assert heading
    assert "Commands:" not in before
    block = behind[: behind.index("\nOptions:")]
    assert all(line.startswith("  ") for line in block.splitlines() if line)
    listed = [command.name for command in surfaces("sondad")[1]["Commands"]]
    assert [line.split()[0] for line in block.splitlines() if line.startswith("  ") and line[2] != " "] == listed
