"""How a command fails. Source: docs/command-line.md, "Exit codes"."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from common.errors import SondadError

if TYPE_CHECKING:
    from common.errors import BodyFault

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


class FaultyScenarioError(CommandError):
    """A scenario file that cannot run.

    Attributes:
        reference: as typed.
        faults: everything that was found, as records of the compiler.
    """

    def __init__(self, message: str, reference: str, faults: "Sequence[BodyFault]") -> None:
        super().__init__(message)
        self.reference = reference
        self.faults = faults
