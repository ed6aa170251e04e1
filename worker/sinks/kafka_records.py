"""Events as records of their own, with keys from a label. Pure. Source: docs/sinks.md, "Kafka"."""

import math
from collections.abc import Iterator, Sequence
from itertools import cycle, pairwise
from typing import Final

from confluent_kafka import Message

from common.labels import LabelSpace
from worker.sinks.batching import Piece

NOW_MS: Final = 0
"""Lets the library stamp a record."""

_NS_PER_MS: Final = 1_000_000


Record = tuple[bytes, bytes | None, int]
"""What one record is made of: its value, its key, which decides about the partition, and its instant in ms."""


def records_of(pieces: Sequence[Piece], labels: LabelSpace, key: str | None) -> list[Record]:
    """Return a record for every event of `pieces`, which hold whole events.

    Args:
        pieces: in order.
        labels: of their entry.
        key: the label whose value is the key; an event without it has none.
    """
    records: list[Record] = []
    for piece in pieces:
        values = _values(piece)
        first = piece.first_record // piece.records_per_event
        # A record without a stamp would get the present.
        stamps_ms = (piece.batch.stamps_ns[first : first + len(values)] // _NS_PER_MS).clip(1).tolist()
        keys = cycle([None]) if key is None else _keys(piece, labels, key, len(values))
        records += zip(values, keys, stamps_ms, strict=False)
    return records


def again(message: Message) -> Record:
    """Return the record that a report is about."""
    return message.value() or b"", message.key(), message.timestamp()[1]


def _values(piece: Piece) -> list[bytes]:
    """Return the bytes of every event, without the line feed behind it."""
    per_event = piece.records_per_event
    payload = bytes(piece.payload)
    if piece.ends is not None:
        ends = piece.ends[per_event - 1 :: per_event].tolist()
        return [payload[start:end] for start, end in pairwise([0, *ends])]
    lines = payload.split(b"\n")
    del lines[piece.records :]
    if per_event == 1:
        return lines
    return [b"\n".join(lines[first : first + per_event]) for first in range(0, piece.records, per_event)]


def _keys(piece: Piece, labels: LabelSpace, key: str, events: int) -> Iterator[bytes | None]:
    """Yield the key of every event: the keys recur as the labels rotate."""
    spike_mask = piece.batch.spike_mask
    rotating = [
        value.cardinality for name, value in labels.layout(spike_mask) if name == key and not isinstance(value, str)
    ]
    period = min(math.lcm(*rotating), events)
    texts = (dict(labels.at(piece.first_tick + tick, spike_mask)).get(key) for tick in range(period))
    return cycle([None if text is None else text.encode() for text in texts])
