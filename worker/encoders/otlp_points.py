"""`otlp` of metrics: a `Metric` with one point, each behind its length.

::

    gauge      name ─ point { time, value, attributes … }                                one for each series of a tick
    sum        name ─ point { start, time, value, attributes … }                         the same, of counters
    histogram  name ─ point { start, time, count, sum, counts, bounds, attributes … }    one for a tick
    summary    name ─ point { start, time, count, sum, quantiles …, attributes … }       one for a tick

An entry has gauges unless its `metric_type` says otherwise. Sums and histograms count since the start of the entry, or
under `temporality: delta` since the tick before. Numbers have fixed widths, so a batch of points is templates filled in
column by column. A gauge at the epoch has no time.

Source: opentelemetry-proto, metrics.proto; docs/formats.md, "OpenTelemetry".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from common.labels import Labels, label_space
from common.plan import EntryPlan, Histogram, Summary
from common.series import Series, series_of
from common.specs.encoders import Temporality
from worker.encoders.label_messages import LabelMessages, NumberSpot, RecordTemplate
from worker.encoders.otlp_parts import attributes, count_at_epoch
from worker.encoders.protobuf import NumberCells, field, framed, number_cells, text_field, varint
from worker.ticks.batch import Batch, Encoded

_GAUGE, _SUM, _HISTOGRAM, _SUMMARY = 5, 7, 9, 11
_START, _TIME, _VALUE, _COUNT, _OBSERVED_SUM = b"\x11", b"\x19", b"\x21", b"\x21", b"\x29"
_COUNTS, _BOUNDS = b"\x32", b"\x3a"
_TEMPORALITIES: Final = {"delta": b"\x10\x01", "cumulative": b"\x10\x02"}
_MONOTONIC: Final = b"\x18\x01"
_NUMBER: Final = 8
"""Bytes of a number."""

_Columns = list[NumberCells]


@dataclass(frozen=True, slots=True)
class _Points:
    """What the points of an entry consist of.

    Attributes:
        series: name and label sets of each point of a tick.
        kind: field of the metric that has the points.
        numbers: constant bytes and widths of holes behind the time.
        columns: what fills the holes, each [ticks, points], from the values of a batch.
        attributes: field of a point that has these.
        behind: bytes behind the point.
    """

    series: Sequence[Series]
    kind: int
    numbers: tuple[bytes | int, ...]
    columns: Callable[[NDArray[Any]], _Columns]
    attributes: int = 7
    behind: bytes = b""


class OtlpPointFrames:
    """Points of one entry."""

    def __init__(self, plan: EntryPlan, temporality: Temporality) -> None:
        self._points = _points_of(plan, _TEMPORALITIES[temporality])
        self._starts = self._points.kind != _GAUGE
        self._has_deltas = temporality == "delta" and self._points.kind in (_SUM, _HISTOGRAM)
        self._rate = plan.launch_rate
        self._description = text_field(2, plan.help)
        self._templates = LabelMessages([one.labels for one in self._points.series], self._template)

    def encode(self, batch: Batch) -> Encoded:
        """Return a record for each point of each tick.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        at_epoch = count_at_epoch(batch)
        if self._has_deltas:
            parts = [(batch, 0)]
        elif self._starts:
            parts = [(batch, batch.counting_since_ns(self._rate))]
        else:
            parts = [(batch.part(0, at_epoch), 0), (batch.part(at_epoch, len(batch)), 1)]
        made = [self._run(part, shape) for part, shape in parts if len(part)]
        ends = np.cumsum(made[0][1] if len(made) == 1 else np.concatenate([lengths for _, lengths in made]))
        return Encoded(b"".join(payload for payload, _ in made), len(batch), len(self._points.series), ends)

    def _run(self, batch: Batch, shape: int) -> tuple[bytes, NDArray[np.int64]]:
        count = len(batch)
        templates = self._templates.of(batch.first_tick, count, batch.spike_mask, shape)
        columns = self._points.columns(self._increases(batch) if self._has_deltas else batch.values)
        head, stamped = self._head(shape)
        spots: list[NumberSpot] = []
        if stamped:
            spots.append((len(head) - _NUMBER, number_cells(batch.stamps_ns)))
        if self._has_deltas and batch.before is not None:
            starts_ns = np.concatenate(([max(batch.before.stamp_ns, 0)], batch.stamps_ns[:-1]))
            spots.append((len(_START), number_cells(starts_ns)))
        at = len(head)
        holes = iter(columns)
        for part in self._points.numbers:
            if isinstance(part, int):
                spots.append((at, next(holes)))
                at += part
            else:
                at += len(part)
        out, lengths = templates.filled(count, spots)
        return out.tobytes(), lengths

    def _increases(self, batch: Batch) -> NDArray[np.float64]:
        """Return what each tick added; a counter that has fallen began again, the sum of observations may fall."""
        values: NDArray[np.float64] = batch.values
        if batch.before is None:
            return values
        before = np.concatenate((np.broadcast_to(batch.before.values, values[:1].shape), values[:-1]))
        # A value that stays has added nothing, an infinite one too.
        with np.errstate(over="ignore"):
            added = np.subtract(values, before, out=np.zeros_like(values), where=values != before)
        return added if self._points.kind == _HISTOGRAM else np.where(values < before, values, added)

    def _head(self, shape: int) -> tuple[bytes, bool]:
        """Return how a point begins, up to its time, which ends it; and whether it has one."""
        if self._starts:
            return _START + shape.to_bytes(_NUMBER, "little") + _TIME + bytes(_NUMBER), True
        return (_TIME + bytes(_NUMBER), True) if shape else (b"", False)

    def _template(self, place: int, labels: Labels, shape: int) -> RecordTemplate:
        points = self._points
        numbers = b"".join(bytes(part) if isinstance(part, int) else part for part in points.numbers)
        point = self._head(shape)[0] + numbers + attributes(points.attributes, labels)
        name = text_field(1, points.series[place].name)
        message = name + self._description + field(points.kind, field(1, point) + points.behind)
        return framed(message), len(point) + len(points.behind)


def _points_of(plan: EntryPlan, temporality: bytes) -> _Points:
    whole = (Series(plan.name, label_space(plan)),)
    numbers: tuple[bytes | int, ...]
    match plan.metric_type, plan.generator:
        case "histogram", Histogram(buckets=bounds):
            width = _NUMBER * (len(bounds) + 1)
            limits = np.array(bounds, dtype="<f8").tobytes()
            numbers = (
                *(_COUNT, _NUMBER, _OBSERVED_SUM, _NUMBER, _COUNTS + varint(width), width),
                _BOUNDS + varint(len(limits)) + limits,
            )
            return _Points(whole, _HISTOGRAM, numbers, _bucket_columns, attributes=9, behind=temporality)
        case "summary", Summary(quantiles=quantiles):
            pairs = [(field(6, b"\x09" + _double(one) + b"\x11" + bytes(_NUMBER))[:-_NUMBER], 8) for one in quantiles]
            numbers = (_COUNT, _NUMBER, _OBSERVED_SUM, _NUMBER, *(part for pair in pairs for part in pair))
            return _Points(whole, _SUMMARY, numbers, _quantile_columns)
        case "counter", _ if plan.signal_type == "metrics":
            return _Points(series_of(plan), _SUM, (_VALUE, _NUMBER), _value_columns, behind=temporality + _MONOTONIC)
    return _Points(series_of(plan), _GAUGE, (_VALUE, _NUMBER), _value_columns)


def _double(number: float) -> bytes:
    return np.array([number], dtype="<f8").tobytes()


def _value_columns(values: NDArray[np.float64]) -> _Columns:
    return [number_cells(values)]


def _bucket_columns(values: NDArray[np.float64]) -> _Columns:
    """Return count, sum, and how many observations lie in each bucket; `values` has how many lie at or below it."""
    counts = np.diff(values[:, :-2], axis=1, prepend=0.0)
    return [_whole_cells(values[:, -1:]), number_cells(values[:, -2]), _whole_cells(counts)]


def _quantile_columns(values: NDArray[np.float64]) -> _Columns:
    """Return count, sum and quantiles."""
    quantiles = (number_cells(values[:, place]) for place in range(values.shape[1] - 2))
    return [_whole_cells(values[:, -1:]), number_cells(values[:, -2]), *quantiles]


def _whole_cells(numbers: NDArray[np.float64]) -> NumberCells:
    """Return [ticks, 1] cells of rows of whole numbers."""
    return numbers.astype("<u8", order="C").view(f"V{_NUMBER * numbers.shape[1]}")
