"""The grammar as data: every command with its options, read from the parsers that run.

Source: docs/command-line.md, "Completions".
"""

import argparse
from dataclasses import dataclass, field, replace

import click

from supervisor.cli.grammar import Compound, PassedOn, Program
from supervisor.cli.program import program


@dataclass(frozen=True, slots=True)
class Flag:
    """An option.

    Attributes:
        short: such as `-q`; None when it has none.
        long: such as `--quiet`; None when it has none.
        metavar: what stands for its value; None for a switch.
    """

    short: str | None
    long: str | None
    metavar: str | None
    help: str

    @property
    def spellings(self) -> list[str]:
        """What can be typed."""
        return [flag for flag in (self.short, self.long) if flag is not None]


@dataclass(frozen=True, slots=True)
class Surface:
    """A command.

    Attributes:
        usage: what follows its name.
        choices: the words that its argument can be; empty when it can be a file or anything else.
        members: the commands of two words that begin with its name; it has the flags of all of them.
    """

    name: str
    summary: str
    about: str
    usage: str
    flags: list[Flag]
    choices: list[str] = field(default_factory=list)
    members: "list[Surface]" = field(default_factory=list)


def surfaces(name: str) -> tuple[list[Flag], dict[str, list[Surface]]]:
    """Return the global flags of a program, and its commands under their headings."""
    grammar = program(name)
    root = click.Context(grammar, info_name=name, help_option_names=grammar.context_settings["help_option_names"])
    headed = {
        heading: [_listed(root, grammar, listed.name, listed.summary) for listed in part]
        for heading, part in grammar.headed.items()
    }
    return _flags(grammar, root), headed


def _listed(root: click.Context, grammar: Program, name: str, summary: str) -> Surface:
    command = grammar.get_command(root, name)
    if command is None:
        raise LookupError(name)
    about = command.help or summary
    if isinstance(command, PassedOn):
        parser = command.parser()
        usage = " ".join(parser.format_usage().split()).partition(f" {name} ")[2]
        return Surface(name, summary, about, usage, _argparse_flags(parser))
    found = _surface(root, command, name, summary)
    if name == "help":
        return replace(found, choices=grammar.list_commands(root))
    if isinstance(command, Compound):
        members = [
            _surface(root, member, f"{name} {word}", member.help or "") for word, member in command.commands.items()
        ]
        flags = {flag.long: flag for member in members for flag in member.flags}
        return replace(found, flags=list(flags.values()), choices=list(command.commands), members=members)
    return found


def _surface(root: click.Context, command: click.Command, name: str, summary: str) -> Surface:
    context = click.Context(command, info_name=name, parent=root)
    usage = " ".join(command.collect_usage_pieces(context))
    choices = [
        word
        for param in command.params
        if isinstance(param, click.Argument) and isinstance(param.type, click.Choice)
        for word in param.type.choices
    ]
    return Surface(name, summary, command.help or summary, usage, _flags(command, context), choices)


def _flags(command: click.Command, context: click.Context) -> list[Flag]:
    return [
        _flag(param.opts, None if param.is_flag else param.metavar, param.help or "")
        for param in command.get_params(context)
        if isinstance(param, click.Option)
    ]


def _argparse_flags(parser: argparse.ArgumentParser) -> list[Flag]:
    return [
        _flag(
            list(action.option_strings),
            None if action.nargs == 0 else str(action.metavar or action.dest.upper()),
            (action.help or "").replace("%(default)s", str(action.default)),
        )
        for action in parser._actions
        if action.option_strings
    ]


def _flag(spellings: list[str], metavar: str | None, text: str) -> Flag:
    short = next((flag for flag in spellings if not flag.startswith("--")), None)
    long = next((flag for flag in spellings if flag.startswith("--")), None)
    return Flag(short, long, metavar, " ".join(text.split()))
