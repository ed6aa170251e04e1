"""Sinks: bytes to a destination, one protocol a module, built through one table. Run in a worker.

A sink retries nothing and counts nothing: policy and counters live in `worker/delivery.py`.
"""

from typing import Protocol

from worker.batch import Encoded


class Sink(Protocol):
    """One destination of one entry."""

    def open(self) -> None:
        """Open the destination.

        Raises:
            SinkOpenError: it cannot be opened; the message is the contract's.
        """
        ...

    def write(self, encoded: Encoded) -> None:
        """Deliver the events, in order.

        Raises:
            SinkError: not all were delivered; `delivered_bytes` says how many bytes, always whole events, were.
        """
        ...

    def flush(self) -> None:
        """Deliver whatever is still buffered.

        Raises:
            SinkError: it could not be delivered.
        """
        ...

    def close(self) -> None:
        """Release the destination; safe twice and before `open`."""
        ...
