"""Encoders: a batch to bytes, one wire format a module, built through one table. Run in a worker; do no I/O, read no clock."""

from typing import Protocol

from worker.batch import Batch, Encoded


class Encoder(Protocol):
    """One wire format for one entry."""

    def encode(self, batch: Batch) -> Encoded:
        """Return the bytes of the batch, identical to encoding its ticks one by one.

        Raises:
            EncoderError: this encoder can never take such an event.
        """
        ...
