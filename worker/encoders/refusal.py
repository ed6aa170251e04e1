"""Encoders that take no event: a pair of encoder and signal that cannot work is found out at the first tick.

Source: docs/scenarios.md, "Encoders".
"""

from typing import NoReturn

from common.errors import EncoderError
from worker.ticks.batch import Batch


class RefusingEncoder:
    """Refuses every event with `reason`."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def encode(self, _batch: Batch, /) -> NoReturn:
        """Raise EncoderError."""
        raise EncoderError(self._reason)


def refuse_logs() -> RefusingEncoder:
    """Return the encoder of a metrics format for a logs entry."""
    return RefusingEncoder("log encoding not supported by this encoder")
