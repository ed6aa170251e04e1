"""The tables of log lines: each line is one of the code, and whatever is logged as bad has its line there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "worker", "supervisor")
PAGES = {"operating.md": "\n## Log\n", "relay.md": "\n## Log lines\n"}
BAD = {"warning", "error", "exception", "critical"}
# What a documented line leaves open: any text, or a number.
OPEN = re.compile(r"…|\b[NM]\b")
# What a line of the code fills in.
FILLED = re.compile(r"%[sdrg]|\{\}")


def said_in(page: str) -> list[str]:
    """The lines that a page lists in the first column of the tables of its section."""
    section = (ROOT / "docs" / page).read_text().partition(PAGES[page])[2].partition("\n## ")[0]
    cells = [row.split(" | ")[0] for row in section.splitlines() if row.startswith("| `")]
    return [line for cell in cells for line in re.findall(r"`([^`]+)`", cell)]


SAID = [line for page in PAGES for line in said_in(page)]


def text_of(node: ast.expr) -> str:
    """What an expression says, with `{}` for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(text_of(value) for value in values)
        case _:
            return "{}"


def trees() -> Iterator[ast.Module]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield ast.parse(path.read_text())


def texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            yield text_of(node)


def logged_as_bad(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=attr, value=ast.Name(id="logger" | "_log")), args=[text, *_]) if (
                attr in BAD
            ):
                yield text_of(text)
            case ast.Call(func=ast.Attribute(attr="log"), args=[ast.Attribute(attr="WARNING" | "ERROR"), text]):
                yield text_of(text)


def pattern(said: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, OPEN.split(said))), re.DOTALL)


TREES = list(trees())
WRITTEN = [text for tree in TREES for text in texts(tree)]
# A line that consists of what is filled in says nothing that a table could list.
BAD_LINES = sorted({line for tree in TREES for line in logged_as_bad(tree) if FILLED.sub("", line).strip(" :")})


@pytest.mark.parametrize("line", SAID)
def test_a_documented_line_is_one_of_the_code(line: str) -> None:
    """With the same words."""
    assert any(map(pattern(line).search, WRITTEN))


@pytest.mark.parametrize("line", BAD_LINES)
def test_what_is_bad_is_documented(line: str) -> None:
    """Whoever reads warnings and errors at night finds each in a table, with what to do."""
    assert any(pattern(said).search(line) for said in SAID)
