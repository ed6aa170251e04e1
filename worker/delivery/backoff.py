"""How long to wait before a failed delivery is tried again."""

from random import Random
from typing import Final

from common.specs import Retry
from common.units import duration_us, nanoseconds

_LARGEST_EXPONENT: Final = 32


class Backoff:
    """Full jitter: uniform between nothing and a limit that doubles with every attempt.

    Source: docs/sinks.md, "Trying again".

    Args:
        retry: the block as written, its durations valid.

    Attributes:
        max_attempts: how often a failed delivery is tried again.
    """

    def __init__(self, retry: Retry) -> None:
        self.max_attempts = retry.max_attempts
        self._initial_ns = nanoseconds(duration_us(retry.initial_backoff))
        self._max_ns = nanoseconds(duration_us(retry.max_backoff))
        self._random = Random()  # noqa: S311 - spreads load, protects nothing

    def draw_secs(self, attempt: int) -> float:
        """Return the wait before retry number `attempt`, counted from 0."""
        limit_ns = min(self._max_ns, self._initial_ns << min(attempt, _LARGEST_EXPONENT))
        return self._random.randint(0, limit_ns) / 1e9
