"""`otlp`: messages of OpenTelemetry, each behind its length: a `Metric` with one point, or a `LogRecord`.

::

    Metric     name ─ gauge { data point { time fixed64, value f64, attributes … } }
    LogRecord  time fixed64 ─ severity ─ body ─ attributes: labels, then fields

Numbers have fixed widths, so a batch of points is templates filled in column by column. A time of 0 has no field.

Source: opentelemetry.io/docs/specs/otel/protocol; opentelemetry-proto, metrics.proto and logs.proto; docs/formats.md,
"OpenTelemetry".
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.errors import EncoderError
from common.labels import Labels, label_space
from common.plan import SEVERITIES, EntryPlan, ReplayRows
from common.series import series_of
from common.specs import LogTemplate
from common.specs import OtlpEncoder as Spec
from worker.encoders.label_messages import LabelMessages, Template
from worker.encoders.log_event import LogEvents
from worker.encoders.protobuf import field, float_columns, framed, text_field, varint
from worker.ticks.batch import Batch, Encoded

_TIME_BYTES: Final = 9
_VALUE_BYTES: Final = 9
_SEVERITY_NUMBERS: Final = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}
_MAX_TEXTS: Final = 8192
"""Texts of log events that are kept at a time."""


def attributes(number: int, pairs: Iterable[tuple[str, str]]) -> bytes:
    """Return pairs of texts as the repeated field `number` of `KeyValue`."""
    return b"".join(field(number, text_field(1, key) + field(2, field(1, value.encode()))) for key, value in pairs)


class OtlpMetricEncoder:
    """Gauge points of one entry."""

    def __init__(self, plan: EntryPlan) -> None:
        series = series_of(plan)
        self._names = [one.name for one in series]
        self._templates = LabelMessages([one.labels for one in series], self._template)

    def encode(self, batch: Batch) -> Encoded:
        """Return a record for each series of each tick.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        at_epoch = _count_at_epoch(batch)
        payloads, lengths = [], []
        for start, stop in ((0, at_epoch), (at_epoch, len(batch))):
            if start < stop:
                payload, run_lengths = self._run(batch, start, stop, timed=start >= at_epoch)
                payloads.append(payload)
                lengths.append(run_lengths)
        return Encoded(b"".join(payloads), len(batch), len(self._names), np.cumsum(np.concatenate(lengths)))

    def _run(self, batch: Batch, start: int, stop: int, *, timed: bool) -> tuple[bytes, NDArray[np.int64]]:
        count = stop - start
        templates = self._templates.of(batch.first_tick + start, count, batch.spike_mask, int(timed))
        values = float_columns(batch.values[start:stop])
        columns = [(1 + _TIME_BYTES * timed, values)]
        if timed:
            columns.append((1, np.broadcast_to(_stamp_columns(batch.stamps_ns[start:stop]), values.shape)))
        out, lengths = templates.filled(count, columns)
        return out.tobytes(), lengths

    def _template(self, place: int, labels: Labels, timed: int) -> Template:
        hole = (b"\x19" + bytes(8)) * timed + b"\x21" + bytes(8)
        written = attributes(7, labels)
        message = text_field(1, self._names[place]) + field(5, field(1, hole + written))
        return framed(message), len(hole) + len(written)


class OtlpLogEncoder:
    """Log records of one entry."""

    def __init__(self, plan: EntryPlan, source: LogTemplate | ReplayRows) -> None:
        self._events = LogEvents(source)
        self._labels = label_space(plan)
        self._texts: dict[tuple[int, bytes], tuple[bytes, bytes]] = {}
        self._attributes: dict[Labels, bytes] = {}

    def encode(self, batch: Batch) -> Encoded:
        """Return a record for each event.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        at_epoch = _count_at_epoch(batch)
        rows = np.ascontiguousarray(batch.values)
        row_bytes, choices = rows.shape[1] * rows.itemsize, rows.tobytes()
        times = _stamp_columns(batch.stamps_ns).tobytes()
        records = []
        for place in range(len(batch)):
            tick = batch.first_tick + place
            before, behind = self._text(tick, choices[place * row_bytes : (place + 1) * row_bytes])
            time = b"" if place < at_epoch else b"\x09" + times[8 * place : 8 * place + 8]
            records.append(framed(time + before + self._label_attributes(tick, batch.spike_mask) + behind))
        ends = np.cumsum([len(record) for record in records])
        return Encoded(b"".join(records), len(batch), 1, ends)

    def _text(self, tick: int, choices: bytes) -> tuple[bytes, bytes]:
        """Return what stands before and behind the labels of an event."""
        key = (self._events.template(tick), choices)
        text = self._texts.get(key)
        if text is None:
            if len(self._texts) >= _MAX_TEXTS:
                self._texts.clear()
            event = self._events.event(tick, np.frombuffer(choices, np.int32))
            severity = SEVERITIES[event.severity]
            before = b"\x10" + varint(_SEVERITY_NUMBERS[severity]) + text_field(3, severity.upper())
            body = field(5, field(1, event.message.encode()))
            text = self._texts[key] = (before + body, attributes(6, event.fields))
        return text

    def _label_attributes(self, tick: int, spike_mask: int) -> bytes:
        labels = self._labels.at(tick, spike_mask)
        written = self._attributes.get(labels)
        if written is None:
            if len(self._attributes) >= _MAX_TEXTS:
                self._attributes.clear()
            written = self._attributes[labels] = attributes(6, labels)
        return written


def _count_at_epoch(batch: Batch) -> int:
    """Return how many stamps are 0; they come first.

    Raises:
        EncoderError: a stamp lies before the epoch.
    """
    if batch.stamps_ns[0] < 0:
        raise EncoderError("timestamp before Unix epoch")
    return int(np.searchsorted(batch.stamps_ns, 1))


def _stamp_columns(stamps_ns: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return uint8[ticks, 1, 8]."""
    return np.ascontiguousarray(stamps_ns, dtype="<i8").reshape(-1, 1, 1).view(np.uint8)


def build(plan: EntryPlan, _spec: Spec) -> OtlpMetricEncoder | OtlpLogEncoder:
    """Return the encoder of `plan`; there is nothing to configure."""
    if isinstance(plan.generator, LogTemplate | ReplayRows):
        return OtlpLogEncoder(plan, plan.generator)
    return OtlpMetricEncoder(plan)
