"""The texts, streams and exit codes of the command line, through the installed scripts."""

import shutil
from pathlib import Path

import pytest

from tests.support.transcripts import Transcript, differences, read_transcripts

GOLDEN = Path(__file__).parents[3] / "golden" / "cli"
CASES = [(path.stem, case) for path in sorted(GOLDEN.glob("*.txt")) for case in read_transcripts(path)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A working directory with the scenarios, packs and recordings that transcripts name."""
    directory = tmp_path / "work"
    shutil.copytree(GOLDEN / "files", directory)
    return directory


@pytest.mark.parametrize(("stem", "case"), CASES, ids=[f"{stem}: {case.command}" for stem, case in CASES])
def test_transcript(stem: str, case: Transcript, files: Path) -> None:
    """A command prints what it printed when its transcript was written, and exits with the same code."""
    wrong = differences(case, files)
    record = f".venv/bin/python -m tests.support.record_transcripts tests/golden/cli/{stem}.txt"
    assert not wrong, f"{wrong}\nif this is meant, run {record}"
