"""What one decoding of one document finds wrong."""

from dataclasses import dataclass, field
from typing import Final

from common.errors import DecodeError
from supervisor.reading.messages import Unknown

MAX_FAULTS: Final = 50
"""Faults of one text that are looked for and told."""


class Told(DecodeError):  # noqa: N818 - named like its meaning
    """A part that cannot be built; why was recorded."""


class Enough(Exception):  # noqa: N818 - no error, but the end of the search for them
    """So many faults were recorded that no more are looked for."""


@dataclass(slots=True)
class Reading:
    """One decoding of one document.

    Attributes:
        unknown: keys that the language does not have, in text order.
        faults: everything else, in the order in which it was met.
    """

    unknown: list[Unknown] = field(default_factory=list)
    faults: list[DecodeError] = field(default_factory=list)

    def record(self, error: DecodeError) -> None:
        """Keep a fault and go on, unless there are many."""
        if isinstance(error, Told):
            return
        self.faults.append(error)
        if len(self.faults) >= MAX_FAULTS:
            raise Enough
