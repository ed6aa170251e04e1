"""What the pages say of scenario files holds."""

import re
from pathlib import Path

import pytest

from common.states import State
from tests.support.compiling import plan_of

DOCS = Path(__file__).parents[5] / "docs"
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE))
    if block.startswith("version: 2")
]


@pytest.mark.parametrize("block", BLOCKS)
def test_whole_files_compile(block: str) -> None:
    """Every block of a page that is a scenario file is accepted as it stands."""
    assert plan_of(block).entries


def test_every_state_is_explained() -> None:
    """The table of states has a row for each, and the picture names it."""
    page = (DOCS / "states.md").read_text()
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    picture, *_ = (block for language, block in fenced if not language)
    for state in State:
        assert f"\n| `{state.wire}` |" in page
        assert state.wire in picture
