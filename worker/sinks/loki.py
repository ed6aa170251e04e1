"""The loki sink: log lines, grouped into streams by their labels, as JSON pushes.

An entry of another signal has one stream with its static labels, and the wall clock as stamps: its lines carry their
own. Source: docs/sinks.md, "What the answer means" and "Loki".
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from common.errors import SinkError
from common.labels import Labels, label_space
from common.specs import Loki
from common.units import duration_or_zero_us, nanoseconds
from worker.sinks.batching import Batching, Piece
from worker.sinks.context import SinkContext
from worker.sinks.http_sink import HttpSink
from worker.sinks.loki_push import has_short_escapes, line_texts, push_body, stamp_texts

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
        self._labels = label_space(context.plan)
        self._static_labels: Labels = tuple(sorted(context.plan.labels.items()))
        self._last_stamp_ns = 0

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the push of all events of `pieces`.

        Raises:
            SinkError: it would have more streams than `max_streams_per_push`.
        """
        streams: dict[Labels, tuple[list[str], list[str]]] = {}
        spelled_out = False
        for piece in pieces:
            payload = bytes(piece.payload)
            spelled_out = spelled_out or has_short_escapes(payload)
            lines = line_texts(payload, piece.ends)
            stamps = self._stamps(piece)
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
        spelled_out = spelled_out or any(
            has_short_escapes(text) for labels in streams for pair in labels for text in pair
        )
        return push_body(((dict(labels), *streams[labels]) for labels in sorted(streams)), spelled_out=spelled_out)

    def _streams(self, piece: Piece) -> Iterator[tuple[Labels, slice]]:
        """Yield label sets and which lines of the piece have them: each set recurs as the labels rotate."""
        if not self._is_logs:
            yield self._static_labels, slice(None)
            return
        spike_mask = piece.batch.spike_mask
        first_tick = piece.batch.first_tick + piece.first_record
        rotating = [value.cardinality for _, value in self._labels.layout(spike_mask) if not isinstance(value, str)]
        period = min(math.lcm(*rotating), piece.records)
        for tick in range(period):
            yield self._labels.at(first_tick + tick, spike_mask), slice(tick, None, period)

    def _stamps(self, piece: Piece) -> list[str]:
        """Return a stamp for every line: a log's own, which has one line a tick, or for others the wall clock."""
        if self._is_logs:
            return stamp_texts(piece.batch.stamps_ns[piece.first_record : piece.first_record + piece.records])
        # Loki keeps one of several equal entries of a stream, so every line gets its own nanosecond.
        first_ns = max(piece.written_ns, self._last_stamp_ns + 1)
        self._last_stamp_ns = first_ns + piece.records - 1
        return stamp_texts(np.arange(first_ns, first_ns + piece.records))


def build(spec: Loki, context: SinkContext) -> LokiSink:
    """Return the sink of `spec`."""
    return LokiSink(spec, context)
