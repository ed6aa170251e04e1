"""Lines on stderr, in colour where somebody wants it. Source: docs/command-line.md, "Streams"."""

import os
import sys

import click


class Screen:
    """What a command tells about itself.

    Attributes:
        is_terminal: whether lines can be redrawn in place.
        colours: whether lines may be coloured.
    """

    def __init__(self) -> None:
        is_smart = os.environ.get("TERM") != "dumb"
        self.is_terminal = sys.stderr.isatty() and is_smart
        forced = bool(os.environ.get("FORCE_COLOR"))
        self.colours = (forced or self.is_terminal) and not os.environ.get("NO_COLOR") and is_smart

    def line(self, text: str = "", colour: str | None = None) -> None:
        """Write a line."""
        click.echo(self.styled(text, colour), err=True, color=self.colours)

    def styled(self, text: str, colour: str | None) -> str:
        """Return a text as it is written in that colour."""
        return click.style(text, fg=colour) if self.colours and colour is not None else text
