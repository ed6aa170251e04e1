"""The sums of what dry runs print of the examples.

.venv/bin/python -m tests.support.example_sums      writes them down, after a change that was meant
"""

import contextlib
import hashlib
import io
from pathlib import Path

from supervisor.cli.program import run

COMMAND = ".venv/bin/python -m tests.support.example_sums"
ROOT = Path(__file__).parents[2]
SUMS = ROOT / "tests" / "golden" / "cli" / "examples.sums"


def examples() -> list[str]:
    """Every scenario file; the relay has its own configuration format."""
    files = (ROOT / "examples").rglob("*.yaml")
    return sorted(str(path.relative_to(ROOT)) for path in files if path.name != "relay.yaml")


def printed(example: str) -> str:
    """Exit code and standard output of a dry run as JSON, and why there is none; log lines have stamps."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run("sonda", ["--dry-run", "--format", "json", "run", example])
    return f"{code}\n{out.getvalue()}{err.getvalue() if code else ''}"


def sum_line(example: str) -> str:
    """One line of the file, as `sha256sum` writes it."""
    return f"{hashlib.sha256(printed(example).encode()).hexdigest()}  {example}"


if __name__ == "__main__":
    SUMS.write_text("".join(f"{sum_line(example)}\n" for example in examples()))
