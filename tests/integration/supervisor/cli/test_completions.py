"""Completion scripts in the shells that load them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from supervisor.cli.shells.surface import Surface, surfaces
from tests.support.terminal import Terminal
from tests.support.transcripts import SCRIPTS, environment, run

PROGRAMS = ("sonda", "sondad")
SHELLS = ("bash", "zsh", "fish", "powershell", "elvish")

BASH = """\
source {script}
complete_line() {{
    COMP_LINE=$*; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _{program}
    printf '%s\\n' "${{COMPREPLY[@]}}"
}}
complete_line {words} ''
"""


def words_of(command: Surface) -> set[str]:
    """What a shell is to offer behind a command."""
    return {*command.choices, *(text for flag in command.flags for text in flag.spellings)}


def every_command(program: str) -> list[Surface]:
    """The commands of all headings."""
    return [command for part in surfaces(program)[1].values() for command in part]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_command_and_long_flag(program: str, shell: str, tmp_path: Path) -> None:
    """Whatever the shell, the script has all of the grammar."""
    done = run([program, "completions", shell], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for command in every_command(program):
        assert command.name in done.stdout
        for flag in command.flags:
            assert flag.long is None or flag.long.removeprefix("--") in done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_bash_completes_commands_and_flags(program: str, tmp_path: Path) -> None:
    """A real bash that loads the script offers every command, and behind each of them every flag."""
    script = tmp_path / "script"
    script.write_text(run([program, "completions", "bash"], tmp_path).stdout)
    commands = every_command(program)
    for typed, expected in [("", {command.name for command in commands})] + [
        (command.name, words_of(command)) for command in commands
    ]:
        source = BASH.format(script=script, program=program, words=f"{program} {typed}")
        offered = subprocess.run(["bash", "-c", source], capture_output=True, text=True, timeout=30)
        assert offered.stderr == ""
        assert expected <= set(offered.stdout.split())


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed; see tests/prepare")
@pytest.mark.parametrize("program", PROGRAMS)
def test_fish_completes_commands_and_flags(program: str, tmp_path: Path) -> None:
    """A real fish that loads the script offers every command, and behind each of them every flag."""
    script = tmp_path / "script"
    script.write_text(run([program, "completions", "fish"], tmp_path).stdout)
    commands = every_command(program)
    cases = [(f"{program} ", {command.name for command in commands})]
    for command in commands:
        cases.append((f"{program} {command.name} ", set(command.choices)))
        cases.append((f"{program} {command.name} -", words_of(command) - set(command.choices)))
    for typed, expected in cases:
        offered = subprocess.run(
            ["fish", "--no-config", "-c", f"source {script}; complete -C '{typed}'"],
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "HOME": str(tmp_path), "PATH": f"{SCRIPTS}:{os.environ['PATH']}"},
        )
        assert expected <= {line.partition("\t")[0] for line in offered.stdout.splitlines()}, typed


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed; see tests/prepare")
@pytest.mark.parametrize("program", PROGRAMS)
def test_zsh_completes_commands_and_flags(program: str, tmp_path: Path) -> None:
    """A real zsh on a terminal that loads the script lists every command, and behind each of them every flag."""
    script = tmp_path / "script"
    script.write_text(run([program, "completions", "zsh"], tmp_path).stdout)
    commands = every_command(program)
    terminal = Terminal(["zsh", "-f", "-i"], tmp_path, environment(tmp_path, TERM="xterm"), 200, 100)
    try:
        terminal.type("autoload -Uz compinit; compinit -u; LISTMAX=10000; setopt bash_auto_list\n")
        terminal.type(f"clear; source {script}; print ready-$((40 + 2))\n")
        terminal.wait_for(lambda shown: "ready-42" in shown, "loaded script")
        cases = [(program, {command.name for command in commands})]
        for command in commands:
            cases.append((f"{program} {command.name} --", {flag.long for flag in command.flags if flag.long}))
            if command.choices:
                cases.append((f"{program} {command.name}", set(command.choices)))
        for typed, expected in cases:
            terminal.type(f"clear\n{typed}{'' if typed.endswith('-') else ' '}\t\t")
            terminal.wait_for(lambda shown, wanted=expected: all(word in shown for word in wanted), str(expected))
            terminal.type("\x15")
    finally:
        terminal.close()
