"""`json_lines` of logs: one compact JSON object per line. Source: docs/formats.md, "JSON lines"."""

from collections.abc import Sequence
from functools import cached_property

from common.labels import label_space
from common.own_ticks import own_ticks
from common.plan import SEVERITIES, EntryPlan, ReplayRows
from common.specs import LogTemplate
from worker.encoders.json_text import escape_json, label_syntax
from worker.encoders.label_text import LabelText
from worker.encoders.lines import LINE_FEED, LinePiece, joined, lines
from worker.encoders.log_text import Fields, LogMessage, LogText, Severity
from worker.encoders.stamps import millisecond_runs, rfc3339
from worker.ticks.batch import Batch, Encoded

_HEAD = b'{"timestamp":"'
_BEFORE_LABELS = (
    b'","severity":"',
    Severity([severity.encode() for severity in SEVERITIES]),
    b'","message":"',
    LogMessage(lambda text: escape_json(text).encode()),
    b'"',
)
_BEHIND_LABELS = (
    b',"fields":{',
    Fields(lambda name, value: f'"{escape_json(name)}":"{escape_json(value)}"'.encode(), b","),
    b"}}\n",
)


class JsonLogEncoder:
    """`{"timestamp":…,"severity":…,"message":…,"labels":{…},"fields":{…}}`."""

    def __init__(self, plan: EntryPlan, source: LogTemplate | ReplayRows) -> None:
        self._source = source
        self._own = own_ticks(plan)
        self._labels = LabelText(label_space(plan), label_syntax(before=',"labels":', after=""))
        constant = self._labels.constant(0)
        self._whole = (
            None if constant is None else LogText(source, [*_BEFORE_LABELS, constant, *_BEHIND_LABELS], self._own)
        )

    def encode(self, batch: Batch) -> Encoded:
        """Return one line per event.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        runs = [
            lines(stop - start, _HEAD, stamp, *self._pieces(batch, start, stop))
            for start, stop, stamp in millisecond_runs(batch.stamps_ns, rfc3339)
        ]
        return joined(runs, len(batch), 1, LINE_FEED)

    def _pieces(self, batch: Batch, start: int, stop: int) -> Sequence[LinePiece]:
        first_tick, choices = batch.first_tick + start, batch.values[start:stop]
        if self._whole is not None and not batch.spike_mask:
            return self._whole.pieces(first_tick, choices)
        return [
            *self._before_labels.pieces(first_tick, choices),
            self._labels.piece(first_tick, stop - start, batch.spike_mask),
            *self._behind_labels.pieces(first_tick, choices),
        ]

    @cached_property
    def _before_labels(self) -> LogText:
        return LogText(self._source, _BEFORE_LABELS, self._own)

    @cached_property
    def _behind_labels(self) -> LogText:
        return LogText(self._source, _BEHIND_LABELS, self._own)
