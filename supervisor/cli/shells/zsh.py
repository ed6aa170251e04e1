"""The completion script of zsh."""

from supervisor.cli.shells.surface import Flag, Surface

_TEMPLATE = """\
#compdef @program@
# zsh completion of @program@; for one session: source <(@program@ completions zsh)
_@program@() {
    local -a verbs
    local curcontext=$curcontext state line
    verbs=(
@verbs@
    )
    _arguments -C \\
@flags@
        '1: :->verb' \\
        '*:: :->rest'
    case $state in
        verb) _describe -t commands command verbs ;;
        rest)
            case $line[1] in
@cases@
            esac
            ;;
    esac
}
if [ "$funcstack[1]" = _@program@ ]; then
    _@program@ "$@"
else
    compdef _@program@ @program@
fi
"""


def script(program: str, flags: list[Flag], commands: list[Surface]) -> str:
    """Return the script for `program`."""
    cases = "\n".join(
        f"                {command.name}) _arguments \\\n{_specs(command.flags, 24)}\n"
        f"                        '*:{_operand(command)}' ;;"
        for command in commands
    )
    verbs = "\n".join(f"        '{command.name}:{_quoted(command.summary)}'" for command in commands)
    return (
        _TEMPLATE.replace("@cases@", cases)
        .replace("@verbs@", verbs)
        .replace("@flags@", _specs(flags, 8))
        .replace("@program@", program)
    )


def _specs(flags: list[Flag], indent: int) -> str:
    specs = [
        f"'*{text}[{_quoted(flag.help)}]{'' if flag.metavar is None else f':{_quoted(flag.metavar)}:_files'}'"
        for flag in flags
        for text in flag.spellings
    ]
    return "\n".join(f"{' ' * indent}{spec} \\" for spec in specs)


def _operand(command: Surface) -> str:
    return f"word:({' '.join(command.choices)})" if command.choices else "file:_files"


def _quoted(text: str) -> str:
    for character, escaped in (("'", "'\\''"), (":", "\\:"), ("[", "\\["), ("]", "\\]")):
        text = text.replace(character, escaped)
    return text
