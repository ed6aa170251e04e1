"""The loki sink: log lines, grouped into streams by their labels, as JSON pushes.

An entry of another signal has one stream with its static labels, and the wall clock as stamps: its lines carry their
own. Source: docs/sinks.md, "What the answer means" and "Loki".
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from common.errors import SinkError
from common.labels import Labels, label_space
from common.plan import EntryPlan
from common.specs import Loki
from common.units import duration_or_zero_us, nanoseconds
from worker.sinks.batching import Batching, Piece
from worker.sinks.context import SinkContext
from worker.sinks.http_sink import HttpSink
from worker.sinks.loki_push import has_short_escapes, line_texts, push_body, stamp_texts
from worker.ticks.batch import Encoded

_PUSH_PATH = "/loki/api/v1/push"


class LokiSink(HttpSink):
    """Pushes to one Loki."""

    def __init__(self, spec: Loki, context: SinkContext) -> None:
        batching = Batching(spec.batch_size, "records", nanoseconds(duration_or_zero_us(spec.max_buffer_age)))
        super().__init__(
            spec, context, batching, content_type="application/json", headers={}, action="Loki push to", path=_PUSH_PATH
        )
        self._max_streams = spec.max_streams_per_push
        self._is_logs = context.plan.signal_type == "logs"
        self._last_stamp_ns = 0
        self._encoded: Encoded | None = None
        self.relabel(context.plan)

    def relabel(self, plan: EntryPlan) -> None:
        """Push to the streams of `plan` from now on."""
        self._labels = label_space(plan)
        self._static_labels: Labels = tuple(sorted(plan.labels.items()))

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the push of all events of `pieces`.

        Raises:
            SinkError: it would have more streams than `max_streams_per_push`.
        """
        streams: dict[Labels, tuple[list[str], list[str]]] = {}
        spelled_out = False
        for piece in pieces:
            if piece.encoded is not self._encoded:
                self._read(piece)
            spelled_out = spelled_out or self._has_short_escapes
            records = slice(piece.first_record, piece.first_record + piece.records)
            lines = self._lines[records]
            # A log has one line a tick.
            stamps = self._stamps[records] if self._is_logs else self._wall_stamps(piece)
            for labels, entries in self._streams(piece):
                known_stamps, known_lines = streams.setdefault(labels, ([], []))
                known_stamps += stamps[entries]
                known_lines += lines[entries]
        cap = self._max_streams
        if len(streams) > cap:
            total = sum(piece.records for piece in pieces)
            raise SinkError(
                f"loki sink: flush would produce {len(streams)} streams from {total} entries, but"
                f" max_streams_per_push is {cap}. Reduce dynamic_labels cardinality, raise max_streams_per_push on the"
                " sink, or split into per-value scenarios."
            )
        return push_body(((labels, *streams[labels]) for labels in sorted(streams)), spelled_out=spelled_out)

    def _read(self, piece: Piece) -> None:
        """Keep the texts of the piece's batch.

        PERF: the small requests that it is cut into would each take a third as long again to make.
        """
        encoded = self._encoded = piece.encoded
        self._has_short_escapes = has_short_escapes(encoded.payload)
        self._lines = line_texts(encoded.payload, encoded.known_ends)
        self._stamps = stamp_texts(piece.batch.stamps_ns) if self._is_logs else []

    def _streams(self, piece: Piece) -> Iterator[tuple[Labels, slice]]:
        """Yield label sets and which lines of the piece have them: each set recurs as the labels rotate."""
        if not self._is_logs:
            yield self._static_labels, slice(None)
            return
        spike_mask = piece.batch.spike_mask
        rotating = [value.cardinality for _, value in self._labels.layout(spike_mask) if not isinstance(value, str)]
        if not rotating:
            yield self._labels.at(0, spike_mask), slice(None)
            return
        period = min(piece.recurs_after(math.lcm(*rotating)), piece.records)
        for index in range(period):
            yield self._labels.at(piece.batch.tick(piece.first_record + index), spike_mask), slice(index, None, period)

    def _wall_stamps(self, piece: Piece) -> list[str]:
        """Return a stamp for every line, by the wall clock.

        Loki keeps one of several equal entries of a stream, so every line gets its own nanosecond.
        """
        first_ns = max(piece.written_ns, self._last_stamp_ns + 1)
        self._last_stamp_ns = first_ns + piece.records - 1
        return stamp_texts(np.arange(first_ns, first_ns + piece.records))


def build(spec: Loki, context: SinkContext) -> LokiSink:
    """Return the sink of `spec`."""
    return LokiSink(spec, context)
