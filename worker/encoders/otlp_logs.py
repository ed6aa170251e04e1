"""`otlp` of logs: a `LogRecord` of each event behind its length.

::

    record     length u32 ─ time fixed64 ─ severity ─ body ─ attributes: labels, then fields

A time of 0 has no field. Where labels never change, whole records are picked from what the choices of events stand for,
and their times written into them; otherwise labels stand between two such texts.

Source: opentelemetry-proto, logs.proto; docs/formats.md, "OpenTelemetry".
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.labels import Labels, Rotation, label_space
from common.own_ticks import own_ticks
from common.plan import SEVERITIES, EntryPlan, ReplayRows
from common.specs import LogTemplate
from worker.encoders.label_messages import LabelMessages, RecordTemplate
from worker.encoders.lines import Cells, lines
from worker.encoders.log_text import Fields, LogMessage, LogText, Part, Severity, Sized
from worker.encoders.otlp_parts import attribute, attributes, count_at_epoch
from worker.encoders.protobuf import PREFIX_BYTES, framed, text_field, varint
from worker.ticks.batch import Batch, Encoded

_ATTRIBUTES: Final = 6
_TIME: Final = b"\x09"
_TIME_AT: Final = PREFIX_BYTES + 1
_HEAD_BYTES: Final = _TIME_AT + 8
_SEVERITY_NUMBERS: Final = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}


def _body_head(length: int) -> bytes:
    text = b"\x0a" + varint(length)
    return b"\x2a" + varint(len(text) + length) + text


def _record_head(length: int) -> bytes:
    """Return what stands before `length` bytes: the record's length, and its time as a hole."""
    return (_HEAD_BYTES - PREFIX_BYTES + length).to_bytes(PREFIX_BYTES, "little") + _TIME + bytes(8)


_Records = tuple[bytes, NDArray[np.int64]]
"""Records back to back, their times not there yet, and how long each is."""

_BEFORE_LABELS: Final[Sequence[Part]] = (
    Severity(
        [b"\x10" + varint(_SEVERITY_NUMBERS[severity]) + text_field(3, severity.upper()) for severity in SEVERITIES]
    ),
    Sized(_body_head, [LogMessage(str.encode)]),
)
_BEHIND_LABELS: Final[Sequence[Part]] = (Fields(lambda name, value: attribute(_ATTRIBUTES, name, value)),)


class OtlpLogFrames:
    """Log records of one entry."""

    def __init__(self, plan: EntryPlan, source: LogTemplate | ReplayRows) -> None:
        self._source = source
        self._own = own_ticks(plan)
        self._space = label_space(plan)
        self._labels = LabelMessages([self._space], _label_record)
        self._changes = any(isinstance(value, Rotation) for _, value in self._space.layout(0))

    def encode(self, batch: Batch) -> Encoded:
        """Return a record for each event.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        at_epoch = count_at_epoch(batch)
        joined = self._changed if self._changes or batch.spike_mask else self._unchanged
        records, lengths = joined(batch)
        ends = np.cumsum(lengths)
        begins = ends - lengths
        payload = np.frombuffer(bytearray(records), np.uint8)
        everywhere = np.ndarray((len(payload) - 7,), "<i8", payload, 0, (1,))
        everywhere[begins + _TIME_AT] = batch.stamps_ns
        if at_epoch:
            return _without_times(payload.tobytes(), begins.tolist(), ends.tolist(), at_epoch)
        return Encoded(payload.tobytes(), len(batch), 1, ends)

    def _unchanged(self, batch: Batch) -> _Records:
        """Return the records of events whose labels are always the same."""
        return self._whole.joined(batch.first_tick, batch.values)

    def _changed(self, batch: Batch) -> _Records:
        """Return the records of events whose labels change."""
        first_tick, choices = batch.first_tick, batch.values
        before = self._before_labels.cells(first_tick, choices)
        labels = self._labels.texts(first_tick, len(batch), batch.spike_mask)
        behind = self._behind_labels.cells(first_tick, choices)
        sizes = [np.fromiter(map(len, part), np.int64, len(part)) for part in (before, labels, behind)]
        lengths = np.sum(sizes, axis=0)
        known = {length: _record_head(length) for length in set(lengths.tolist())}
        heads = [known[length] for length in lengths.tolist()]
        return lines(len(batch), *map(Cells, (heads, before, labels, behind))), lengths + _HEAD_BYTES

    @cached_property
    def _whole(self) -> LogText:
        labels = attributes(_ATTRIBUTES, self._space.at(0))
        return LogText(self._source, [Sized(_record_head, [*_BEFORE_LABELS, labels, *_BEHIND_LABELS])], self._own)

    @cached_property
    def _before_labels(self) -> LogText:
        return LogText(self._source, _BEFORE_LABELS, self._own)

    @cached_property
    def _behind_labels(self) -> LogText:
        return LogText(self._source, _BEHIND_LABELS, self._own)


def _label_record(_place: int, labels: Labels, _shape: int) -> RecordTemplate:
    return attributes(_ATTRIBUTES, labels), 0


def _without_times(payload: bytes, begins: list[int], ends: list[int], count: int) -> Encoded:
    """Return records of which the first `count` have no time."""
    records = [
        framed(payload[begin + _HEAD_BYTES : end]) if place < count else payload[begin:end]
        for place, (begin, end) in enumerate(zip(begins, ends, strict=True))
    ]
    return Encoded(b"".join(records), len(records), 1, np.cumsum([len(record) for record in records]))
