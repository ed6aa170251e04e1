"""How a command fails. Source: docs/command-line.md, "Exit codes"."""

from typing import Final

from common.errors import SondadError

OK: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
ABANDONED: Final = 130


class CommandError(SondadError):
    """A command that ends with `error: …` on stderr.

    Attributes:
        code: the exit code.
    """

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
