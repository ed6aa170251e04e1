"""What points and log records of OpenTelemetry have in common. Source: opentelemetry-proto, common.proto."""

from collections.abc import Iterable

import numpy as np

from common.errors import EncoderError
from worker.encoders.protobuf import field, text_field
from worker.ticks.batch import Batch


def attribute(number: int, key: str, value: str) -> bytes:
    """Return a pair of texts as a field of `KeyValue`."""
    return field(number, text_field(1, key) + field(2, field(1, value.encode())))


def attributes(number: int, pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return pairs of texts as a repeated field of `KeyValue`."""
    return b"".join(attribute(number, key, value) for key, value in pairs)


def count_at_epoch(batch: Batch) -> int:
    """Return how many stamps are 0; they come first.

    Raises:
        EncoderError: a stamp lies before the epoch.
    """
    if batch.stamps_ns[0] < 0:
        raise EncoderError("timestamp before Unix epoch")
    return int(np.searchsorted(batch.stamps_ns, 1))
