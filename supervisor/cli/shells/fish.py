"""The completion script of fish."""

from supervisor.cli.shells.surface import Flag, Surface


def script(program: str, flags: list[Flag], commands: list[Surface]) -> str:
    """Return the script for `program`."""
    first = "__fish_use_subcommand"
    lines = [f"# fish completion of {program}; for one session: {program} completions fish | source"]
    lines += [_option(program, first, flag) for flag in flags]
    for command in commands:
        summary = _quoted(command.summary)
        lines.append(f"complete -c {program} -n {first} -f -a {command.name} -d {summary}")
    for command in commands:
        seen = f"'__fish_seen_subcommand_from {command.name}'"
        lines += [_option(program, seen, flag) for flag in command.flags]
        if command.choices:
            lines.append(f"complete -c {program} -n {seen} -f -a '{' '.join(command.choices)}'")
    return "\n".join(lines) + "\n"


def _option(program: str, condition: str, flag: Flag) -> str:
    parts = [f"complete -c {program} -n {condition}"]
    if flag.short is not None:
        parts.append(f"-s {flag.short.removeprefix('-')}")
    if flag.long is not None:
        parts.append(f"-l {flag.long.removeprefix('--')}")
    if flag.metavar is not None:
        parts.append("-r")
    return " ".join([*parts, f"-d {_quoted(flag.help)}"])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
