"""The completion script of bash."""

from supervisor.cli.shells.surface import Flag, Surface

_TEMPLATE = """\
# bash completion of @program@; for one session: source <(@program@ completions bash)
_@program@() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb= words= word
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
            @verbs@) verb=$word; break ;;
        esac
    done
    case $previous in
        @valued@) return ;;
    esac
    case $verb in
        "") words="@top@" ;;
@cases@
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o default -F _@program@ @program@
"""


def script(program: str, flags: list[Flag], commands: list[Surface]) -> str:
    """Return the script for `program`."""
    names = [command.name for command in commands]
    every = [*flags, *(flag for command in commands for flag in command.flags)]
    valued = sorted({text for flag in every if flag.metavar is not None for text in flag.spellings})
    cases = "\n".join(
        f'        {command.name}) words="{" ".join([*command.choices, *_typed(command.flags)])}" ;;'
        for command in commands
    )
    return (
        _TEMPLATE.replace("@cases@", cases)
        .replace("@verbs@", " | ".join(names))
        .replace("@valued@", " | ".join(valued))
        .replace("@top@", " ".join([*names, *_typed(flags)]))
        .replace("@program@", program)
    )


def _typed(flags: list[Flag]) -> list[str]:
    return [text for flag in flags for text in flag.spellings]
