"""Writes transcripts anew after a change that was meant: the same commands, what they print now.

    .venv/bin/python -m tests.support.record_transcripts tests/golden/cli/help_*.txt

A line that `[..]` in the old one still stands for is kept. Read the difference before committing it.
"""

import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.transcripts import ANYTHING, Transcript, read_transcripts, run

FILES = Path(__file__).parents[1] / "golden" / "cli" / "files"


def record(path: Path) -> None:
    """Write a file of transcripts anew; comments stay before the command that they stand before."""
    cases = iter(read_transcripts(path))
    parts: list[list[str]] = []
    comments: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            comments.append(line)
        elif line.startswith("$ "):
            parts.append([*comments, line, *_seen(next(cases))])
            comments = []
    path.write_text("\n\n".join("\n".join(part) for part in parts) + "\n")


def _seen(case: Transcript) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory) / "work"
        shutil.copytree(FILES, work)
        done = run(shlex.split(case.command), work)
    if done.returncode:
        yield f"? {done.returncode}"
    for mark, got, wanted in ((">", done.stdout, case.stdout), ("!", done.stderr, case.stderr)):
        yield from (f"{mark} {line}" for line in _kept(got.split("\n")[:-1], wanted))


def _kept(got: list[str], wanted: list[str]) -> list[str]:
    """Return what came, with lines of `wanted` that stand for any text in place of those that they stand for."""
    general = {
        line: re.compile(re.escape(line).replace(re.escape(ANYTHING), ".*")) for line in wanted if ANYTHING in line
    }
    return [next((line for line, pattern in general.items() if pattern.fullmatch(one)), one) for one in got]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        record(Path(name))
