"""`remote_write`: a `TimeSeries` of Prometheus remote write for each series and tick, each behind its length.

::

    record     length u32 ─ TimeSeries { labels … , sample { value f64, timestamp varint } }
    template   all of it, with holes for the value and the stamp; a batch is templates, filled in column by column

A value of 0 or -0 leaves its field out, as proto3 does with defaults.

Source: prometheus.io/docs/specs/prw/remote_write_spec; docs/formats.md, "Remote write".
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.errors import EncoderError
from common.labels import Labels
from common.plan import EntryPlan
from common.series import series_of
from common.specs import RemoteWriteEncoder as Spec
from common.specs import RemoteWriteSink
from worker.encoders.label_messages import LabelMessages, NumberSpot, RecordTemplate
from worker.encoders.protobuf import NumberCells, field, framed, number_cells, text_field, varint_cells, varint_runs
from worker.encoders.remote_write_samples import SampleFrames
from worker.ticks.batch import Batch, Encoded

_NS_PER_MS: Final = 1_000_000
_VALUE_BYTES: Final = 9
"""Tag and double."""

_Records = tuple[bytes, NDArray[np.int64]]
"""Records back to back, and how long each is."""


class RemoteWriteFrames:
    """Frames of one entry."""

    def __init__(self, plan: EntryPlan) -> None:
        series = series_of(plan)
        self._names = [one.name for one in series]
        self._templates = LabelMessages([one.labels for one in series], self._template)

    def encode(self, batch: Batch) -> Encoded:
        """Return a record for each series of each tick.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        stamps_ms = batch.stamps_ns // _NS_PER_MS
        if stamps_ms[0] < 0:
            raise EncoderError("timestamp before Unix epoch")
        # 0 is a default, and left out.
        at_epoch = 0 if stamps_ms[0] else int(np.searchsorted(stamps_ms, 1))
        runs = [(0, at_epoch, 0)] if at_epoch else []
        if at_epoch < len(batch):
            later = varint_runs(stamps_ms[at_epoch:])
            runs += [(begin + at_epoch, end + at_epoch, width) for begin, end, width in later]
        made = [self._run(batch.part(begin, end), stamps_ms[begin:end], width) for begin, end, width in runs]
        lengths = made[0][1] if len(made) == 1 else np.concatenate([lengths for _, lengths in made])
        return Encoded(b"".join(payload for payload, _ in made), len(batch), len(self._names), np.cumsum(lengths))

    def _run(self, batch: Batch, stamps_ms: NDArray[np.int64], width: int) -> _Records:
        """Encode ticks whose stamps take `width` bytes; return their records and the lengths of these."""
        zero = batch.values.ravel() == 0
        stamps = varint_cells(stamps_ms, width)[:, None] if width else None
        if not zero.any():
            return self._filled(batch, stamps, width, valued=True)
        if zero.all():
            return self._filled(batch, stamps, width, valued=False)
        valued, valued_lengths = self._filled(batch, stamps, width, valued=True)
        empty, empty_lengths = self._filled(batch, stamps, width, valued=False)
        return _in_turns(zero, (valued, valued_lengths), (empty, empty_lengths))

    def _filled(self, batch: Batch, stamps: NumberCells | None, width: int, *, valued: bool) -> _Records:
        """Return all records of a batch with their values, or without."""
        count = len(batch)
        templates = self._templates.of(batch.first_tick, count, batch.spike_mask, 2 * width + valued)
        spots: list[NumberSpot] = [(1, number_cells(batch.values))] if valued else []
        if stamps is not None:
            spots.append((_VALUE_BYTES * valued + 1, stamps))
        out, lengths = templates.filled(count, spots)
        return out.tobytes(), lengths

    def _template(self, place: int, labels: Labels, shape: int) -> RecordTemplate:
        """Return the record of one series with holes, its prefix included; `shape` is as `_filled` asks."""
        width, valued = divmod(shape, 2)
        pairs = sorted([("__name__", self._names[place]), *labels], key=lambda pair: pair[0].encode())
        written = b"".join(field(1, text_field(1, key) + text_field(2, value)) for key, value in pairs)
        sample = (b"\x09" + bytes(8)) * valued + (b"\x10" + bytes(width) if width else b"")
        return framed(written + field(2, sample)), len(sample)


def _in_turns(second: NDArray[np.bool_], *tables: _Records) -> _Records:
    """Return every record of one of two tables: of the second one where `second` says so."""
    edges = np.concatenate(([0], np.flatnonzero(np.diff(second)) + 1, [len(second)]))
    parts = [memoryview(b"")] * (len(edges) - 1)
    for table, (payload, lengths) in enumerate(tables):
        first_turn = int(second[0]) ^ table
        view = memoryview(payload)
        bounds = np.concatenate(([0], np.cumsum(lengths)))[edges].tolist()
        turns = zip(bounds[first_turn:-1:2], bounds[first_turn + 1 :: 2], strict=True)
        parts[first_turn::2] = [view[start:end] for start, end in turns]
    return b"".join(parts), np.where(second, tables[1][1], tables[0][1])


def build(plan: EntryPlan, _spec: Spec) -> RemoteWriteFrames | SampleFrames:
    """Return the encoder of `plan`: its sink decides about the protocol."""
    if isinstance(plan.sink, RemoteWriteSink) and plan.sink.protocol_version == "2.0":
        return SampleFrames(plan)
    return RemoteWriteFrames(plan)
