"""Transcripts of command lines: what was typed, and all that came of it.

::

    # a comment
    $ sonda show @nothing
    ? 1
    > a line of stdout
    ! a line of stderr

`[..]` in a line stands for any text. Lines of progress come when they come: they are compared by themselves, sorted.
Without `?` the exit code is 0; without `>` or `!` the stream is empty.
"""

import atexit
import functools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.warm_commands import SCRIPTS, WarmCommands

ANYTHING = "[..]"
OURS = ("sonda", "sondad", "sonda-server")


@dataclass
class Transcript:
    """One command and what is expected of it."""

    command: str
    code: int = 0
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)


def read_transcripts(path: Path) -> Iterator[Transcript]:
    """Yield the transcripts of a file."""
    current: Transcript | None = None
    for line in path.read_text().splitlines():
        mark, _, text = line.partition(" ")
        if mark == "$":
            if current is not None:
                yield current
            current = Transcript(text)
        elif current is not None and mark == "?":
            current.code = int(text)
        elif current is not None and mark in (">", "!"):
            (current.stdout if mark == ">" else current.stderr).append(text)
        elif mark not in ("", "#"):
            raise ValueError(f"{path}: {line!r} is no line of a transcript")
    if current is not None:
        yield current


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a command: nothing but the path, a home and what is given."""
    return {"PATH": f"{SCRIPTS}:{os.environ['PATH']}", "HOME": str(home), **more}


def run(
    command: list[str], cwd: Path, timeout: float = 200, stdin: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in `cwd` to its end; one of ours needs no start, unless a variable is for the interpreter."""
    variables = environment(cwd, **more)
    if command[0] in OURS and not any(name.startswith(("PYTHON", "LC_")) for name in more):
        return _warm_commands().run(command, cwd, variables, stdin, timeout)
    return subprocess.run(command, cwd=cwd, env=variables, input=stdin, capture_output=True, text=True, timeout=timeout)


@functools.cache
def _warm_commands() -> WarmCommands:
    commands = WarmCommands(environment(Path("/")))
    atexit.register(commands.close)
    return commands


def differences(expected: Transcript, cwd: Path) -> str:
    """Run a transcript's command in `cwd` and return what is not as expected; empty when all is."""
    done = run(shlex.split(expected.command), cwd)
    wrong = [] if done.returncode == expected.code else [f"exit code {done.returncode}, expected {expected.code}"]
    for name, got, wanted in (("stdout", done.stdout, expected.stdout), ("stderr", done.stderr, expected.stderr)):
        if not _matches(got, wanted):
            wrong.append(f"{name}:\n{got}--- expected:\n" + "\n".join(wanted))
    return "\n".join(wrong)


def _matches(got: str, wanted: list[str]) -> bool:
    pattern = "".join(f"{re.escape(line)}\n".replace(re.escape(ANYTHING), "[^\n]*") for line in _settled(wanted))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _settled(got.split("\n")[:-1]))) is not None


def _settled(lines: list[str]) -> list[str]:
    progress = sorted(line for line in lines if line.startswith("[progress] "))
    return [line for line in lines if not line.startswith("[progress] ")] + progress
