"""`remote_write`: a `TimeSeries` of Prometheus remote write for each series and tick, each behind its length.

::

    record     length u32 ─ TimeSeries { labels … , sample { value f64, timestamp varint } }
    template   all of it, with holes for the value and the stamp; a batch is templates, filled in column by column

A value of 0 or -0 leaves its field out, as proto3 does with defaults.

Source: prometheus.io/docs/specs/prw/remote_write_spec; docs/formats.md, "Remote write".
"""

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.errors import EncoderError
from common.labels import Labels
from common.plan import EntryPlan
from common.series import series_of
from common.specs import RemoteWriteEncoder as Spec
from worker.encoders.label_messages import LabelMessages, Template
from worker.encoders.protobuf import (
    PREFIX_BYTES,
    field,
    float_columns,
    framed,
    text_field,
    varint_columns,
    varint_widths,
)
from worker.ticks.batch import Batch, Encoded

_NS_PER_MS: Final = 1_000_000
_VALUE_BYTES: Final = 9
"""Tag and double."""


class RemoteWriteEncoder:
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
        widths = np.where(stamps_ms == 0, 0, varint_widths(stamps_ms))
        edges = [0, *(np.flatnonzero(np.diff(widths)) + 1).tolist(), len(batch)]
        payloads, lengths = [], []
        for start, stop in pairwise(edges):
            payload, run_lengths = self._run(batch, start, stop, stamps_ms[start:stop], int(widths[start]))
            payloads.append(payload)
            lengths.append(run_lengths)
        return Encoded(b"".join(payloads), len(batch), len(self._names), np.cumsum(np.concatenate(lengths)))

    def _run(
        self, batch: Batch, start: int, stop: int, stamps_ms: NDArray[np.int64], width: int
    ) -> tuple[bytes, NDArray[np.int64]]:
        """Encode ticks whose stamps take `width` bytes; return their records and the lengths of these."""
        count = stop - start
        templates = self._templates.of(batch.first_tick + start, count, batch.spike_mask, width)
        values = float_columns(batch.values[start:stop])
        columns = [(1, values)]
        if width:
            stamps = np.broadcast_to(varint_columns(stamps_ms, width)[:, None], (*values.shape[:2], width))
            columns.append((_VALUE_BYTES + 1, stamps))
        out, lengths = templates.filled(count, columns)
        zero = batch.values[start:stop].ravel() == 0
        if zero.any():
            return _without_zeros(out, lengths, _tail_bytes(width), zero)
        return out.tobytes(), lengths

    def _template(self, place: int, labels: Labels, width: int) -> Template:
        """Return the record of one series with holes, its prefix included."""
        pairs = sorted([("__name__", self._names[place]), *labels], key=lambda pair: pair[0].encode())
        written = b"".join(field(1, text_field(1, key) + text_field(2, value)) for key, value in pairs)
        sample = b"\x09" + bytes(8) + (b"\x10" + bytes(width) if width else b"")
        message = written + field(2, sample)
        return framed(message), _tail_bytes(width)


def _tail_bytes(width: int) -> int:
    """Return how many bytes a record ends with from the tag of its value on."""
    return _VALUE_BYTES + (1 + width if width else 0)


def _without_zeros(
    out: NDArray[np.uint8], lengths: NDArray[np.int64], tail: int, zero: NDArray[np.bool_]
) -> tuple[bytes, NDArray[np.int64]]:
    """Return records and lengths without the values of records that are `zero`."""
    ends = np.cumsum(lengths)
    starts, holes = (ends - lengths)[zero], (ends - tail)[zero]
    lengths = lengths - _VALUE_BYTES * zero
    prefixes = (lengths[zero] - PREFIX_BYTES).astype("<u4").reshape(-1, 1).view(np.uint8)
    out[starts[:, None] + np.arange(PREFIX_BYTES)] = prefixes
    out[holes - 1] -= _VALUE_BYTES
    kept = np.ones(len(out), np.bool_)
    kept[holes[:, None] + np.arange(_VALUE_BYTES)] = False
    return out[kept].tobytes(), lengths


def build(plan: EntryPlan, _spec: Spec) -> RemoteWriteEncoder:
    """Return the encoder of `plan`; there is nothing to configure."""
    return RemoteWriteEncoder(plan)
