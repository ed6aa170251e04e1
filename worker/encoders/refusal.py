"""Encoders that take no event: a pair of encoder and signal that cannot work is found out at the first tick.

Source: docs/scenarios.md, "Encoders".
"""

from typing import NoReturn

from common.errors import EncoderError
from common.plan import EntryPlan
from common.specs import kind_of
from worker.ticks.batch import Batch


class RefusingEncoder:
    """Refuses every event, saying that its encoder is not for the signal of `plan`."""

    def __init__(self, plan: EntryPlan) -> None:
        is_logs = plan.signal_type == "logs"
        name = "this encoder" if is_logs else f"{kind_of(plan.encoder)} encoder"
        self._reason = f"{'log' if is_logs else 'metric'} encoding not supported by {name}"

    def encode(self, _batch: Batch, /) -> NoReturn:
        """Raise EncoderError."""
        raise EncoderError(self._reason)
