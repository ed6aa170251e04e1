"""The command line before it does anything: help costs nothing, faults have one form."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cli.shells.surface import surfaces

HEAVY = {"numpy", "msgspec", "yaml", "falcon", "waitress", "rich", "multiprocessing", "asyncio", "email.parser"}
OURS = {"supervisor.compiler", "supervisor.engine", "supervisor.relay.service", "supervisor.http"}
SERVER = {"falcon", "waitress", "rich", "email", "ssl", "asyncio", "supervisor.http", "supervisor.relay"}
MOST_MODULES = 100
"""What a help may import beyond what the interpreter starts with."""

SHOW_IMPORTS = """\
import os, sys
before = set(sys.modules)
import click  # which all of them need
for door, *arguments in {commands!r}:
    if os.fork():
        os.wait()
        continue
    from supervisor import __main__ as entry
    sys.argv[1:] = arguments
    try:
        getattr(entry, door)()
    except SystemExit:
        print("imported", *set(sys.modules) - before)
    break
"""
DOORS = {"sonda": "scenario_main", "sondad": "main", "sonda-server": "compatible_main"}
SCENARIO = """\
version: 2
kind: runnable
scenarios:
  - {signal_type: metrics, name: a, rate: 10, duration: 100ms, generator: {type: constant, value: 1}}
"""


WITHOUT_WORK = [
    *(("sonda", *arguments) for arguments in (["--help"], [], ["help"], ["frobnicate"], ["run", "--rate", "x"])),
    *(("sondad", command.name, "--help") for part in surfaces("sondad")[1].values() for command in part),
    ("sonda-server", "--help"),
]


def imported_by(*commands: tuple[str, ...]) -> list[set[str]]:
    """The modules that each command has imported when it ends; all are forks of one process without any of ours."""
    source = SHOW_IMPORTS.format(commands=[(DOORS[name], *arguments) for name, *arguments in commands])
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    shown = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("imported ")]
    assert len(shown) == len(commands), done.stderr
    return [set(modules) for modules in shown]


@pytest.fixture(scope="module")
def imported_without_work() -> dict[tuple[str, ...], set[str]]:
    return dict(zip(WITHOUT_WORK, imported_by(*WITHOUT_WORK), strict=True))


@pytest.mark.parametrize("words", WITHOUT_WORK, ids=" ".join)
def test_help_imports_nothing_heavy(
    imported_without_work: dict[tuple[str, ...], set[str]], words: tuple[str, ...]
) -> None:
    """Help and usage errors answer at once: nothing is imported that only the work of a command needs."""
    imported = imported_without_work[words]
    assert not (HEAVY | OURS) & imported
    assert len(imported) <= MOST_MODULES


def test_a_run_imports_no_server(tmp_path: Path) -> None:
    """What only the daemon or a terminal needs does not delay the first event."""
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    (imported,) = imported_by(("sonda", "run", str(path)))
    assert not SERVER & imported


def test_the_full_help_lists_the_commands_of_scenarios_in_their_order() -> None:
    """Clients read the block behind `Commands:`, one line a command, up to the first line that is not indented."""
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"COLUMNS": "40"},
    )
    before, heading, behind = done.stdout.partition("Commands:\n")
    assert heading
    assert "Commands:" not in before
    block = behind[: behind.index("\nOptions:")]
    assert all(line.startswith("  ") for line in block.splitlines() if line)
    listed = [command.name for command in surfaces("sondad")[1]["Commands"]]
    assert [line.split()[0] for line in block.splitlines() if line] == listed
