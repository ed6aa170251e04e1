"""Which entries share a worker process. Imports nothing, so that arguments are read without the engine."""

from dataclasses import dataclass
from typing import Final, Literal

Isolation = Literal["process", "shared", "auto"]
"""Whether an entry has a process of its own, shares one with others and its wake-ups, or does what suits its rate."""

DEFAULT_PER_WORKER: Final = 64
"""How many scenarios share a worker at most."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Which entries share a worker.

    Attributes:
        isolation: what holds for entries that do not say.
        per_worker: how many of them share one at most.
    """

    isolation: Isolation = "process"
    per_worker: int = DEFAULT_PER_WORKER


SEPARATE: Final = Sharing()
"""Only entries that ask for it share a worker."""
