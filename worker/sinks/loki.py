"""The loki sink: log lines, grouped into streams by their labels, as JSON pushes.

An entry of another signal has one stream with its static labels, and the wall clock as stamps: its lines carry their
own. Source: docs/sinks.md, "What the answer means" and "Loki".
"""

import math
from collections.abc import Sequence

import numpy as np

from common.errors import SinkError
from common.labels import Labels, LabelSpace, Rotation, label_space
from common.plan import EntryPlan
from common.specs import Loki
from common.units import duration_or_zero_us, nanoseconds
from worker.sinks.batching import Batching, Piece
from worker.sinks.context import SinkContext
from worker.sinks.http_sink import HttpSink
from worker.sinks.loki_push import Entries, has_short_escapes, line_texts, push_body, stamp_texts
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
        self._period = 1
        self._common_labels: Labels | None = None
        self.relabel(context.plan)

    def relabel(self, plan: EntryPlan) -> None:
        """Push to the streams of `plan` from now on."""
        # The streams of lines that carry their own labels have no others.
        self._labels = label_space(plan) if self._is_logs else LabelSpace(plan.labels)
        self._spike_mask = -1

    def request(self, pieces: Sequence[Piece]) -> bytes:
        """Return the push of all events of `pieces`.

        Raises:
            SinkError: it would have more streams than `max_streams_per_push`.
        """
        streams: dict[Labels, list[bytes]] = {}
        for piece in pieces:
            entries, first = self._entries(piece)
            self._turn_to(piece.batch.spike_mask)
            # Each label set recurs as the labels rotate.
            step = min(piece.recurs_after(self._period), piece.records)
            for index in range(first, first + step):
                labels = self._common_labels
                if labels is None:
                    labels = self._labels.at(piece.batch.tick(index), self._spike_mask)
                streams.setdefault(labels, []).append(entries.every(index, first + piece.records, step))
        cap = self._max_streams
        if len(streams) > cap:
            total = sum(piece.records for piece in pieces)
            raise SinkError(
                f"loki sink: flush would produce {len(streams)} streams from {total} entries, but"
                f" max_streams_per_push is {cap}. Reduce dynamic_labels cardinality, raise max_streams_per_push on the"
                " sink, or split into per-value scenarios."
            )
        return push_body(streams)

    def _entries(self, piece: Piece) -> tuple[Entries, int]:
        """Return entries, and the place of the piece's first one among them.

        PERF: those of a batch of logs are made at once; the small requests that it is cut into take parts of one text.
        """
        encoded, first = piece.encoded, piece.first_record
        if encoded is not self._encoded:
            self._encoded = encoded
            self._spelled_out = has_short_escapes(encoded.payload)
            lines = line_texts(encoded.payload, encoded.known_ends)
            if self._is_logs:
                # A log has one line a tick.
                self._logs = Entries(stamp_texts(piece.batch.stamps_ns), lines, spelled_out=self._spelled_out)
            else:
                self._lines = lines
        if self._is_logs:
            return self._logs, first
        lines = self._lines[first : first + piece.records]
        return Entries(self._wall_stamps(piece), lines, spelled_out=self._spelled_out), 0

    def _turn_to(self, spike_mask: int) -> None:
        """Find out after how many ticks labels recur while these spikes are active."""
        if spike_mask == self._spike_mask:
            return
        self._spike_mask = spike_mask
        values = (value for _, value in self._labels.layout(spike_mask))
        self._period = math.lcm(*(value.cardinality for value in values if isinstance(value, Rotation)))
        self._common_labels = self._labels.at(0, spike_mask) if self._period == 1 else None

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
