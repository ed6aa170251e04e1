"""The completion script of elvish."""

from supervisor.cli.shells.surface import Flag, Surface

_TEMPLATE = """\
# elvish completion of @program@; for one session: eval (@program@ completions elvish | slurp)
set edit:completion:arg-completer[@program@] = {|@words|
    var verbs = [
@verbs@
    ]
    var verb = ''
    for word $words[1..-1] {
        if (and (eq $verb '') (has-key $verbs $word)) {
            set verb = $word
        }
    }
    if (eq $verb '') {
        put @top@
    } else {
        put $@verbs[$verb]
    }
}
"""


def script(program: str, flags: list[Flag], commands: list[Surface]) -> str:
    """Return the script for `program`."""
    verbs = "\n".join(
        f"        &{command.name}= [{' '.join([*command.choices, *_typed(command.flags)])}]" for command in commands
    )
    top = " ".join([*(command.name for command in commands), *_typed(flags)])
    return _TEMPLATE.replace("@verbs@", verbs, 1).replace("@top@", top).replace("@program@", program)


def _typed(flags: list[Flag]) -> list[str]:
    return [text for flag in flags for text in flag.spellings]
