"""What holds for every command line: global flags on both levels, options given once, errors in one form.

Source: docs/command-line.md, "Grammar".
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from supervisor.cli.failures import MISUSED
from supervisor.cli.options import global_options, shown, similar, write_options
from supervisor.cli.table import ListedCommand, import_command

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


def pass_globals(function: Callable[..., int]) -> Callable[..., int]:
    """Let the function of a command get the globals first."""
    passing: Callable[..., int] = click.pass_obj(function)
    return passing


class _Helpful(click.Command):
    """A command whose help speaks of itself as of the other options."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that prints the help."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = "print this help and exit"
        return option


class Verb(_Helpful):
    """A command; its function gets the globals first, then its own parameters by name.

    Args:
        name: as it is typed.
        help: what it does, as sentences.
        params: its own arguments and options.
        run: the function.
        summary: what it does, for a list of commands; without one, the beginning of `help`.
    """

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002 - click's own word
        params: list[click.Parameter],
        run: Callable[..., int],
        summary: str | None = None,
    ) -> None:
        super().__init__(
            name,
            params=[*params, *global_options()],
            help=help,
            short_help=summary,
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

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write its own options, then those of every command."""
        own = [param for param in self.get_params(ctx) if param.name not in _GLOBAL_NAMES]
        write_options(ctx, formatter, "Options", own)
        write_options(ctx, formatter, "Options of every command", self.params[-len(_GLOBAL_NAMES) :])

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


class _Commands(_Helpful, click.Group):
    """Commands, one of which must be named."""

    def __init__(self, name: str, help: str, params: list[click.Parameter]) -> None:  # noqa: A002
        super().__init__(
            name,
            help=help,
            params=params,
            context_settings=_SETTINGS,
            subcommand_metavar="COMMAND [ARGS]...",
            invoke_without_command=True,
            callback=_require_command,
        )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names, and the arguments behind it."""
        command = self.get_command(ctx, args[0])
        if command is None and not ctx.resilient_parsing:
            tip = similar(args[0], self.list_commands(ctx), "subcommand")
            raise click.UsageError(f"unrecognized subcommand '{args[0]}'{tip}", ctx)
        return args[0], command, args[1:]


class Compound(_Commands):
    """Commands of two words, such as `fleet run`.

    Args:
        name: the first word.
        help: one line.
        members: by their second word, in the order of the help.
    """

    def __init__(self, name: str, help: str, members: list[Verb]) -> None:  # noqa: A002
        super().__init__(name, help, [])
        self.commands = {str(member.name): member for member in members}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """Return the second words in their order."""
        return list(self.commands)


class Program(_Commands):
    """`sonda` or `sondad`: commands out of a table, imported when they are named.

    Args:
        name: of the program.
        help: one line.
        headed: the commands under their headings.
    """

    def __init__(self, name: str, help: str, headed: dict[str, tuple[ListedCommand, ...]]) -> None:  # noqa: A002
        super().__init__(name, help, global_options())
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
        write_options(ctx, formatter, "Options", self.get_params(ctx))

    def _format_part(self, formatter: click.HelpFormatter, heading: str) -> None:
        # Clients read one line a command, so none is wrapped, however narrow the window is.
        width = max(len(listed.name) for part in self.headed.values() for listed in part)
        with formatter.section(heading):
            for listed in self.headed[heading]:
                formatter.write(f"{'':{formatter.current_indent}}{listed.name:<{width}}  {listed.summary}\n")


@click.pass_context
def _require_command(ctx: click.Context, /, **_: Any) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(MISUSED)


def _print_version(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
    if value:
        from importlib import metadata

        click.echo(f"{ctx.find_root().info_name} {metadata.version('sondad')}")
        ctx.exit()
