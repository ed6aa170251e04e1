"""`remote_write` for a sink of protocol 2.0: a `Sample` for each series and tick, each behind its length.

::

    record     length u32 ─ Sample { value f64, timestamp varint, start_timestamp varint where the series counts up }

Which series a sample belongs to follows from its tick and its place; labels stand in the request, where
`worker/sinks/write_request.py` puts them. Every value is written, so that zero keeps its sign.

Source: prometheus.io/docs/specs/prw/remote_write_spec_2_0; docs/formats.md, "Remote write".
"""

from typing import Final

import numpy as np

from common.errors import EncoderError
from common.plan import EntryPlan
from common.series import counts_up
from worker.encoders.label_messages import Templates
from worker.encoders.protobuf import PREFIX_BYTES, framed, number_cells, varint, varint_cells, varint_runs
from worker.ticks.batch import Batch, Encoded

_NS_PER_MS: Final = 1_000_000
_STAMP_AT: Final = 10
"""Where the stamp is, counted from the tag of the value."""


class SampleFrames:
    """Samples of one entry."""

    def __init__(self, plan: EntryPlan) -> None:
        self._rate = plan.launch_rate
        self._counts_up = counts_up(plan)

    def encode(self, batch: Batch) -> Encoded:
        """Return a record for each series of each tick.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        stamps_ms = batch.stamps_ns // _NS_PER_MS
        if stamps_ms[0] < 0:
            raise EncoderError("timestamp before Unix epoch")
        start_ms = batch.counting_since_ns(self._rate) // _NS_PER_MS
        payloads, lengths = [], []
        for begin, end, width in varint_runs(stamps_ms):
            templates = self._templates(width, start_ms)
            stamps = varint_cells(stamps_ms[begin:end], width)[:, None]
            out, run_lengths = templates.filled(
                end - begin, [(1, number_cells(batch.values[begin:end])), (_STAMP_AT, stamps)]
            )
            payloads.append(out.tobytes())
            lengths.append(run_lengths)
        return Encoded(b"".join(payloads), len(batch), len(self._counts_up), np.cumsum(np.concatenate(lengths)))

    def _templates(self, width: int, start_ms: int) -> Templates:
        """Return the samples of a tick whose stamp takes `width` bytes, with holes."""
        sample = b"\x09" + bytes(8) + b"\x10" + bytes(width)
        started = sample + (b"\x18" + varint(start_ms) if start_ms > 0 else b"")
        messages = [started if counting else sample for counting in self._counts_up]
        lengths = np.array([[len(message) for message in messages]], dtype=np.int64)
        return Templates(b"".join(map(framed, messages)), lengths + PREFIX_BYTES, lengths)
