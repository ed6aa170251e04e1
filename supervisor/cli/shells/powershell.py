"""The completion script of PowerShell."""

from supervisor.cli.shells.surface import Flag, Surface

_TEMPLATE = """\
# PowerShell completion of @program@; for one session:
#   @program@ completions powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName '@program@' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $verbs = @{
@verbs@
    }
    $words = $commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() }
    $verb = $words | Where-Object { $verbs.ContainsKey($_) -and $_ -ne $wordToComplete } | Select-Object -First 1
    $candidates = if ($verb) { $verbs[$verb] } else { @(@top@) }
    $candidates | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
    }
}
"""


def script(program: str, flags: list[Flag], commands: list[Surface]) -> str:
    """Return the script for `program`."""
    verbs = "\n".join(
        f"        '{command.name}' = @({_list([*command.choices, *_typed(command.flags)])})" for command in commands
    )
    top = _list([*(command.name for command in commands), *_typed(flags)])
    return _TEMPLATE.replace("@verbs@", verbs).replace("@top@", top).replace("@program@", program)


def _typed(flags: list[Flag]) -> list[str]:
    return [text for flag in flags for text in flag.spellings]


def _list(words: list[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
