"""Requests of remote write 2.0: texts once as symbols, each series once with all its samples. Pure.

::

    Request      symbols: "" help name … ─ TimeSeries …
    TimeSeries   pairs of symbols ─ samples, oldest first ─ type and help

The series of a record follows from its tick and its place in it: labels repeat after a number of ticks, so the samples
of a series are every so many records of a batch.

Source: prometheus.io/docs/specs/prw/remote_write_spec_2_0; docs/formats.md, "Remote write".
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import lcm
from typing import Final

from common.labels import Rotation
from common.plan import EntryPlan
from common.series import metric_type_of, series_of
from worker.encoders.protobuf import PREFIX_BYTES, field, varint, with_lengths
from worker.sinks.batching import Piece

_SYMBOLS, _TIMESERIES = 4, 5
_LABELS, _SAMPLES, _METADATA = 1, 2, 5
_TYPES: Final = {"untyped": 0, "counter": 1, "gauge": 2, "histogram": 3, "summary": 5}
_SHORT: Final = 0x80
"""Numbers below this are one byte."""

_MAX_KNOWN: Final = 4096
"""Series whose labels are kept at a time."""

Pairs = tuple[tuple[str, str], ...]


class WriteRequests:
    """Requests of one entry.

    Args:
        plan: the entry.
    """

    def __init__(self, plan: EntryPlan) -> None:
        self._series = series_of(plan)
        self._type = _TYPES[metric_type_of(plan)]
        self._help = plan.help
        self._known: dict[tuple[int, int, int], Pairs] = {}
        self._repeats = any(
            label.values is not None and len(set(label.values)) < len(label.values) for label in plan.dynamic_labels
        )

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the request with all samples of `pieces`, uncompressed; those of a series in order."""
        symbols = _Symbols()
        metadata = b"".join(
            bytes([number << 3]) + varint(value)
            for number, value in ((1, self._type), (3, symbols.number(self._help)))
            if value
        )
        samples: dict[Pairs, list[bytes | bytearray]] = {}
        for piece in pieces:
            for pairs, written in self._sorted(piece):
                samples.setdefault(pairs, []).append(written)
        last = field(_METADATA, metadata) if metadata else b""
        series = b"".join(
            field(_TIMESERIES, field(_LABELS, symbols.numbers(pairs)) + b"".join(written) + last)
            for pairs, written in samples.items()
        )
        return symbols.fields() + series

    def _sorted(self, piece: Piece) -> Iterator[tuple[Pairs, bytes | bytearray]]:
        """Return the labels of each series of a piece and its samples."""
        ends = piece.record_ends()
        written = with_lengths(piece.payload, ends, _SAMPLES)
        per_tick, count = piece.records_per_event, piece.records
        period = self._period(piece.batch.spike_mask)
        step = count if self._repeats else min(piece.recurs_after(period) * per_tick, count)
        if step == 1:
            yield self._pairs(piece, 0, period), written
            return
        # A length of one byte stands where the prefix was.
        starts = [0, *(end - (PREFIX_BYTES - 2) * number for number, end in enumerate(ends.tolist(), start=1))]
        parts = [written[start:end] for start, end in pairwise(starts)]
        for record in range(step):
            yield self._pairs(piece, record, period), b"".join(parts[record::step])

    def _period(self, spike_mask: int) -> int:
        """Return after how many ticks all labels repeat."""
        layouts = (value for one in self._series for _, value in one.labels.layout(spike_mask))
        return lcm(*(value.cardinality for value in layouts if isinstance(value, Rotation)))

    def _pairs(self, piece: Piece, record: int, period: int) -> Pairs:
        """Return the labels of a record, the name among them, in order of their names' bytes."""
        index, place = divmod(piece.first_record + record, piece.records_per_event)
        tick, spike_mask = piece.batch.tick(index), piece.batch.spike_mask
        key = (tick % period, place, spike_mask)
        pairs = self._known.get(key)
        if pairs is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            series = self._series[place]
            labels = [("__name__", series.name), *series.labels.at(tick, spike_mask)]
            pairs = self._known[key] = tuple(sorted(labels, key=lambda pair: pair[0].encode()))
        return pairs


class _Symbols:
    """The texts of one request, each once, the empty one first."""

    def __init__(self) -> None:
        self._numbers = {"": 0}

    def number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def numbers(self, pairs: Pairs) -> bytes:
        """Return the packed numbers of labels."""
        known = self._numbers
        numbers = [known.setdefault(text, len(known)) for pair in pairs for text in pair]
        return bytes(numbers) if max(numbers) < _SHORT else b"".join(map(varint, numbers))

    def fields(self) -> bytes:
        return b"".join(field(_SYMBOLS, text.encode()) for text in self._numbers)
