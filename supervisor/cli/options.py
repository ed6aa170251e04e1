"""Options: given once or several times, with a value or without, and what may stand beside them.

Source: docs/command-line.md, "Grammar".
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

_NEAR = 0.7
"""How alike two names are, as `difflib` counts, when one of them was probably meant."""


class ConvertedText(click.ParamType):  # type: ignore[type-arg]  # older click takes no argument
    """A text that `read` turns into a value; a ValueError of it is a usage error.

    Args:
        read: text to value.
    """

    name = "text"

    def __init__(self, read: Callable[[str], Any]) -> None:
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of a text."""
        try:
            return self._read(value)
        except ValueError as exc:
            raise click.BadParameter(f"invalid value '{value}' for '{shown(param)}': {exc}", ctx, param) from exc


class Many(click.Option):
    """An option that may be given several times.

    Args:
        *flags: its spellings.
        metavar: what stands for the value in help and errors.
        help: one line.
        read: text to value, None keeps the text.
        excludes: flags that may not stand beside it.
        requires: flags that must stand beside it.
    """

    def __init__(
        self,
        *flags: str,
        metavar: str,
        help: str,  # noqa: A002 - click's own word
        read: Callable[[str], Any] | None = None,
        excludes: tuple[str, ...] = (),
        requires: tuple[str, ...] = (),
    ) -> None:
        kind = click.STRING if read is None else ConvertedText(read)
        super().__init__(flags, metavar=metavar, help=help, type=kind, multiple=True)
        self.excludes = excludes
        self.requires = requires


class Once(Many):
    """An option with one value, or None; given twice on one level it is a usage error."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the single value."""
        values = super().process_value(ctx, value) or ()
        if len(values) > 1:
            raise click.UsageError(f"the argument '{shown(self)}' cannot be used multiple times", ctx)
        return values[0] if values else None


class Switch(click.Option):
    """An option without a value.

    Args:
        *flags: its spellings.
        help: one line.
        excludes: flags that may not stand beside it.
    """

    def __init__(self, *flags: str, help: str, excludes: tuple[str, ...] = ()) -> None:  # noqa: A002 - click's own word
        super().__init__(flags, is_flag=True, help=help)
        self.excludes = excludes
        self.requires: tuple[str, ...] = ()


def shown(parameter: click.Parameter | None) -> str:
    """Return a parameter as errors name it, e.g. `--rate <R>`."""
    if isinstance(parameter, click.Option):
        flag = max(parameter.opts, key=len)
        return flag if parameter.is_flag else f"{flag} <{parameter.metavar}>"
    return "" if parameter is None else f"<{parameter.human_readable_name}>"


def similar(written: str, known: Iterable[str], what: str) -> str:
    """Return what an error says of the one of `known` that was probably meant; empty when none is near."""
    from supervisor.reading.messages import nearest

    # The dashes are common to all options, and would make them near each other.
    names = {name.lstrip("-"): name for name in known}
    word = written.lstrip("-")
    begun = sorted(name for name in names if word and name.startswith(word))
    near = nearest(word, names, _NEAR) or next(iter(begun), None)
    return "" if near is None else f"\n\n  tip: a similar {what} exists: '{names[near]}'"


def write_options(
    ctx: click.Context, formatter: click.HelpFormatter, heading: str, params: Sequence[click.Parameter]
) -> None:
    """Write the options among the parameters of a command under a heading."""
    options = [param for param in params if isinstance(param, click.Option)]
    records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
    with formatter.section(heading):
        formatter.write_dl(records)


def global_options() -> list[click.Parameter]:
    """Return the options that every level accepts."""
    return [
        Switch("-q", "--quiet", help="no banners and no progress; errors and verdicts are still printed"),
        Switch("-v", "--verbose", help="print the version and the resolved configuration before running"),
        Switch("--dry-run", help="check and print what would run, and run nothing (`run` and `test`)"),
        Once("--format", "layout", metavar="LAYOUT", help="layout of a dry run: text (default) or json"),
        Once("--catalog", metavar="DIR", help="directory of @name scenarios and of packs", read=Path),
    ]


def daemon_options() -> list[click.Parameter]:
    """Return the options of commands that talk to a daemon."""
    return [
        Once("--url", metavar="URL", help="the daemon (default http://127.0.0.1:8080); its key is SONDA_API_KEY"),
        Switch("--json", "as_json", help="print JSON"),
    ]


def read_secs(text: str) -> float:
    """Read a duration in seconds.

    Raises:
        ValueError: it is none.
    """
    from common.errors import DurationError
    from common.units import duration_secs

    try:
        return duration_secs(text)
    except DurationError as exc:
        raise ValueError(str(exc)) from exc


def report_option() -> Once:
    """Return the option of commands that find something."""
    return Once(
        "--report",
        metavar="FILE",
        help="write what was found to a file: JSON (.json) or JUnit (.xml)",
        read=_report_path,
    )


def _report_path(text: str) -> str:
    if not text.endswith((".json", ".xml")):
        raise ValueError("expected a name that ends in .json or, for JUnit, in .xml")
    return text
