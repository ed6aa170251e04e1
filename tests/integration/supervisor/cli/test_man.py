"""Man pages, as man(1) reads them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from supervisor.cli.shells.man import pages
from supervisor.cli.shells.surface import surfaces

DOCS = Path(__file__).parents[4] / "docs"
PAGES = pages(DOCS)


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("name", sorted(PAGES))
def test_man_shows_a_page_without_complaint(name: str, tmp_path: Path) -> None:
    """Every page is laid out, and nothing in it is unknown to the formatter."""
    path = tmp_path / name
    path.write_text(PAGES[name])
    done = subprocess.run(
        ["man", "--warnings=all", "-l", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "NAME" in done.stdout


@pytest.mark.parametrize("name", ["sonda", "sondad"])
def test_every_command_and_flag_is_described(name: str) -> None:
    """The pages are made of the grammar, so they have all of it."""
    page = PAGES[f"{name}.1"].replace("\\-", "-")
    for commands in surfaces(name)[1].values():
        for command in commands:
            assert f".SS {name} {command.name}" in page
            for flag in command.flags:
                assert flag.long is None or flag.long in page
