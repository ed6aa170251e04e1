"""Encoders that take no event: a pair of encoder and signal that cannot work is found out at the first tick.

Source: docs/scenarios.md, "Encoders".
"""

from typing import NoReturn, Protocol

from common.errors import EncoderError
from common.plan import EntryPlan
from common.specs import kind_of
from worker.encoders.protobuf import PREFIX_BYTES
from worker.ticks.batch import Batch, Encoded


class RefusingEncoder:
    """Refuses every event, saying that its encoder is not for the signal of `plan`."""

    def __init__(self, plan: EntryPlan) -> None:
        is_logs = plan.signal_type == "logs"
        name = "this encoder" if is_logs else f"{kind_of(plan.encoder)} encoder"
        self._reason = f"{'log' if is_logs else 'metric'} encoding not supported by {name}"

    def encode(self, _batch: Batch, /) -> NoReturn:
        """Raise EncoderError."""
        raise EncoderError(self._reason)


class _Encoder(Protocol):
    def encode(self, batch: Batch, /) -> Encoded: ...


class MisreadEncoder:
    """Refuses every event, because its sink would read the records of `encoder` as messages that they are not.

    Args:
        encoder: what writes the records.
        asked: the message that the sink takes.
    """

    def __init__(self, encoder: _Encoder, asked: str) -> None:
        self._encoder = encoder
        self._asked = asked

    def encode(self, batch: Batch, /) -> NoReturn:
        """Raise EncoderError with what reading the first record gives."""
        encoded = self._encoder.encode(batch)
        record = encoded.payload[: int(encoded.record_ends()[0])]
        if len(record) < PREFIX_BYTES:
            raise EncoderError(f"truncated length prefix in {self._asked} buffer")
        expected, found = int.from_bytes(record[:PREFIX_BYTES], "little"), len(record) - PREFIX_BYTES
        if expected > found:
            raise EncoderError(f"truncated {self._asked} protobuf: expected {expected} bytes, got {found}")
        raise EncoderError(f"protobuf decode error: the encoder writes no {self._asked}")
