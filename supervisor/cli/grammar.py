"""What holds for every command line: global flags on both levels, options given once, errors in one form.

Source: docs/command-line.md, "Grammar".
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from supervisor.cli.table import Listed, import_command

if TYPE_CHECKING:
    import argparse

_SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@dataclass(frozen=True, slots=True)
class Globals:
    """The flags that every command accepts, before and after its name.

    Attributes:
        layout: of a dry run, as written.
        catalog: directory of named scenarios and packs.
    """

    program: str
    quiet: bool = False
    verbose: bool = False
    dry_run: bool = False
    layout: str = "text"
    catalog: Path | None = None


class Reading(click.ParamType):  # type: ignore[type-arg]  # older click takes no argument
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


class Once(click.Option):
    """An option with one value, or None; given twice on one level it is a usage error.

    Args:
        *flags: its spellings.
        metavar: what stands for the value in help and errors.
        read: text to value, None keeps the text.
        help: one line.
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
        kind = click.STRING if read is None else Reading(read)
        super().__init__(flags, metavar=metavar, help=help, type=kind, multiple=True)
        self.excludes = excludes
        self.requires = requires

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


class Many(click.Option):
    """An option that may be given several times.

    Args:
        *flags: its spellings.
        metavar: what stands for the value in help and errors.
        help: one line.
        read: text to value, None keeps the text.
        requires: flags that must stand beside it.
    """

    def __init__(
        self,
        *flags: str,
        metavar: str,
        help: str,  # noqa: A002 - click's own word
        read: Callable[[str], Any] | None = None,
        requires: tuple[str, ...] = (),
    ) -> None:
        kind = click.STRING if read is None else Reading(read)
        super().__init__(flags, metavar=metavar, help=help, type=kind, multiple=True)
        self.excludes: tuple[str, ...] = ()
        self.requires = requires


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


def report_option() -> Once:
    """Return the option of commands that find something."""
    return Once(
        "--report",
        metavar="FILE",
        help="write what was found to a file: JSON (.json) or JUnit (.xml)",
        read=_report_path,
    )


def pass_globals(function: Callable[..., int]) -> Callable[..., int]:
    """Let the function of a command get the globals first."""
    passing: Callable[..., int] = click.pass_obj(function)
    return passing


def _report_path(text: str) -> str:
    if not text.endswith((".json", ".xml")):
        raise ValueError("expected a name that ends in .json or, for JUnit, in .xml")
    return text


def shown(parameter: click.Parameter | None) -> str:
    """Return a parameter as errors name it, e.g. `--rate <R>`."""
    if isinstance(parameter, click.Option):
        flag = max(parameter.opts, key=len)
        return flag if parameter.is_flag else f"{flag} <{parameter.metavar}>"
    return "" if parameter is None else f"<{parameter.human_readable_name}>"


class Verb(click.Command):
    """A command; its function gets the globals first, then its own parameters by name."""

    def __init__(self, name: str, help: str, params: list[click.Parameter], run: Callable[..., int]) -> None:  # noqa: A002
        super().__init__(
            name,
            params=[*params, *global_options()],
            help=help,
            callback=run,
            context_settings=_SETTINGS | {"allow_extra_args": True},
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, then judge them together."""
        rest = super().parse_args(ctx, args)
        if rest:
            raise click.UsageError(f"unexpected argument '{rest[0]}' found", ctx)
        given = [param for param in self.params if ctx.params.get(str(param.name)) not in (None, False, ())]
        by_flag = {flag: param for param in self.params for flag in param.opts}
        for param in given:
            for other in (by_flag[flag] for flag in getattr(param, "excludes", ())):
                if other in given:
                    raise click.UsageError(f"the argument '{shown(param)}' cannot be used with '{shown(other)}'", ctx)
        needed = list(given)
        for param in needed:
            needed += [by_flag[flag] for flag in getattr(param, "requires", ()) if by_flag[flag] not in needed]
        missing = "".join(f"\n  {shown(param)}" for param in self.params if param in needed and param not in given)
        if missing:
            raise click.UsageError(f"the following required arguments were not provided:{missing}", ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Call the function with the globals of both levels, the inner ones before the outer ones."""
        outer = ctx.find_root().params
        inner = {name: ctx.params.pop(name) for name in _GLOBAL_NAMES}
        values = {name: inner[name] or outer.get(name) for name in _GLOBAL_NAMES}
        if values["quiet"] and values["verbose"]:
            raise click.UsageError("the argument '--quiet' cannot be used with '--verbose'", ctx)
        chosen = {name: value for name, value in values.items() if value is not None}
        ctx.obj = Globals(program=str(ctx.find_root().info_name), **chosen)
        return super().invoke(ctx)


_GLOBAL_NAMES: Final = tuple(str(option.name) for option in global_options())


class PassedOn(click.Command):
    """A command that reads its own arguments, by a parser of its own.

    Args:
        parser: makes that parser.
        run: gets the arguments, returns the exit code.

    Attributes:
        parser: the same.
    """

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002 - click's own word
        parser: "Callable[[], argparse.ArgumentParser]",
        run: Callable[[list[str]], int],
    ) -> None:
        super().__init__(name, help=help, add_help_option=False)
        self.parser = parser
        self._run = run

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take everything as it is."""
        if any(ctx.find_root().params.values()):
            raise click.UsageError(f"the options of '{self.name}' stand behind it", ctx)
        ctx.obj = list(args)
        return []

    def invoke(self, ctx: click.Context) -> int:
        """Run it."""
        return self._run(ctx.obj)


class Program(click.Group):
    """`sonda` or `sondad`: commands out of a table, imported when they are named.

    Args:
        name: of the program.
        help: one line.
        headed: the commands under their headings.
    """

    def __init__(self, name: str, help: str, headed: dict[str, tuple[Listed, ...]]) -> None:  # noqa: A002
        super().__init__(
            name,
            help=help,
            params=global_options(),
            context_settings=_SETTINGS,
            subcommand_metavar="COMMAND [ARGS]...",
        )
        self.headed = headed
        self.params.append(
            click.Option(
                ["-V", "--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                help="print the version and exit",
                callback=_print_version,
            )
        )

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """Return the names in the order of the table."""
        return [listed.name for part in self.headed.values() for listed in part]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import and return a command."""
        for part in self.headed.values():
            for listed in part:
                if listed.name == cmd_name:
                    return import_command(listed)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names, and the arguments behind it."""
        command = self.get_command(ctx, args[0])
        if command is None and not ctx.resilient_parsing:
            raise click.UsageError(f"unrecognized subcommand '{args[0]}'", ctx)
        return args[0], command, args[1:]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write usage, the commands under their headings, then the options."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        first, *later = self.headed
        self._format_part(formatter, first)
        self.format_options(ctx, formatter)
        for heading in later:
            self._format_part(formatter, heading)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options alone: the commands stand before them."""
        records = [record for param in self.get_params(ctx) if (record := param.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl(records)

    def _format_part(self, formatter: click.HelpFormatter, heading: str) -> None:
        with formatter.section(heading):
            formatter.write_dl([(listed.name, listed.summary) for listed in self.headed[heading]])


def _print_version(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
    if value:
        from importlib import metadata

        click.echo(f"{ctx.find_root().info_name} {metadata.version('sondad')}")
        ctx.exit()
