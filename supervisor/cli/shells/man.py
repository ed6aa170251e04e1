"""Man pages: commands from the grammar, file formats from the documentation.

Run as `python -m supervisor.cli.shells.man DOCS DIRECTORY` to write them all where man(1) looks for them.
Source: man-pages(7), groff_man(7).
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from supervisor.cli.program import program
from supervisor.cli.shells.surface import Flag, Surface, surfaces

_FORMATS: Final = {
    "sondad-scenario.5": ("scenario files and packs", "reference.md"),
    "sondad-relay.yaml.5": ("configuration file of the relay", "relay-reference.md"),
}
"""Page, what it is about, and where it is described."""

_TITLE_TOKENS: Final = 3
_ENVIRONMENT: Final = (
    ("RUST_LOG", "which log lines appear on stderr"),
    ("NO_COLOR, FORCE_COLOR", "colours, nowhere or everywhere"),
    ("SONDA_API_KEY", "key of a daemon"),
    ("SONDAD_URL, SONDA_API_KEY_FILE", "daemon of the host of a fleet worker, and a file with its key"),
    ("SONDA_PROMETHEUS_URL, SONDA_ALERTMANAGER_URL", "servers of `test`"),
    ("SONDA_PROM_TOKEN", "bearer token of a capture"),
)
_EXIT_CODES: Final = (
    ("0", "done"),
    ("1", "it failed"),
    ("2", "the command line is wrong"),
    ("130", "a second signal came before a run had delivered what it had"),
)


def pages(docs: Path) -> dict[str, str]:
    """Return every page by its file name.

    Args:
        docs: directory of the documentation.
    """
    commands = {f"{name}.1": _command_page(name) for name in ("sonda", "sondad")}
    formats = {
        name: _format_page(name, about, (docs / source).read_text()) for name, (about, source) in _FORMATS.items()
    }
    return commands | formats


def _command_page(name: str) -> str:
    flags, headed = surfaces(name)
    about = str(program(name).help).removesuffix(".")
    lines = [f'.TH {name.upper()} 1 "" sondad', ".SH NAME", f"{name} \\- {_text(about[0].lower() + about[1:])}"]
    lines += [".SH SYNOPSIS", f".B {name}", "[OPTIONS] COMMAND [ARGS]..."]
    lines += [".SH OPTIONS", "These stand before a command or behind it.", *_options(flags)]
    for heading, commands in headed.items():
        lines.append(f".SH {_text(heading.upper())}")
        for command in commands:
            for described in command.members or [command]:
                lines += _command(name, described, {flag.long for flag in flags})
    lines += [".SH EXIT STATUS", *_list(_EXIT_CODES), ".SH ENVIRONMENT", *_list(_ENVIRONMENT)]
    others = ("sonda(1)", "sondad(1)", "sondad-scenario(5)", "sondad-relay.yaml(5)")
    lines += [".SH SEE ALSO", ", ".join(_text(page) for page in others if not page.startswith(f"{name}("))]
    return "\n".join(lines) + "\n"


def _command(name: str, command: Surface, shared: set[str | None]) -> Iterator[str]:
    yield f".SS {_text(f'{name} {command.name} {command.usage}')}"
    yield _text(" ".join(command.about.split()))
    yield from _options(flag for flag in command.flags if flag.long not in shared)


def _options(flags: Iterable[Flag]) -> Iterator[str]:
    for flag in flags:
        value = "" if flag.metavar is None else f" {flag.metavar}"
        yield ".TP"
        yield f".B {_text(', '.join(flag.spellings) + value)}"
        yield _text(flag.help)


def _list(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in pairs:
        yield from (".TP", f".B {_text(term)}", _text(text))


def _format_page(name: str, about: str, markdown: str) -> str:
    title, _, number = name.rpartition(".")
    lines = [f'.TH {title.upper()} {number} "" sondad', ".SH NAME", f"{title} \\- {_text(about)}"]
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    return "\n".join([*lines, ".SH DESCRIPTION", *_roff(tokens[_TITLE_TOKENS:])]) + "\n"


def _roff(tokens: list[Token]) -> Iterator[str]:
    cells: list[str] = []
    for index, token in enumerate(tokens):
        match token.type:
            case "heading_open":
                title = _text(tokens[index + 1].content)
                yield f".SH {title.upper()}" if token.tag in ("h1", "h2") else f".SS {title}"
            case "paragraph_open" if token.level == 0:
                yield ".PP"
            case "list_item_open":
                yield ".IP \\(bu 2"
            case "fence" | "code_block":
                yield from (".PP", ".nf", *(_text(line) for line in token.content.rstrip("\n").split("\n")), ".fi")
            case "tr_open":
                cells = []
            case "tr_close" if any(cells):
                first, *rest = cells
                yield from (".TP", f".B {first or '-'}", "; ".join(cell for cell in rest if cell) or "-")
            case "inline" if tokens[index - 1].type in ("td_open", "th_open"):
                cells.append(_text(_plain(token)))
            case "inline" if tokens[index - 1].type != "heading_open":
                yield _text(_plain(token))


def _plain(token: Token) -> str:
    """Return the words of a line, without marks and addresses."""
    return "".join(" " if child.type == "softbreak" else child.content for child in token.children or [])


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    for file_name, page in pages(Path(sys.argv[1])).items():
        folder = Path(sys.argv[2]) / f"man{file_name[-1]}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file_name).write_text(page)
