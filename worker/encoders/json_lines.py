"""`json_lines` of metrics: one compact JSON object per line. Source: docs/formats.md, "JSON lines"."""

from common.numbers import json_format
from common.plan import EntryPlan, ReplayRows
from common.series import series_of
from common.specs import JsonLines, LogTemplate
from worker.encoders.json_logs import JsonLogEncoder
from worker.encoders.json_text import escape_json, label_syntax
from worker.encoders.label_text import LabelText
from worker.encoders.lines import LINE_FEED, Cells, LinePiece, joined, lines, number_piece
from worker.encoders.series_text import SeriesText
from worker.encoders.stamps import millisecond_runs, rfc3339
from worker.ticks.batch import Batch, Encoded


class JsonLinesEncoder:
    """`{"name":…,"value":…,"labels":{…},"timestamp":…}`."""

    def __init__(self, plan: EntryPlan, precision: int | None) -> None:
        series = series_of(plan)
        syntax = label_syntax(before=',"labels":', after=',"timestamp":"')
        self._heads = [f'{{"name":"{escape_json(one.name)}","value":'.encode() for one in series]
        self._labels = SeriesText([LabelText(one.labels, syntax) for one in series])
        self._numbers = json_format(precision)

    def encode(self, batch: Batch) -> Encoded:
        """Return a line for each series of each tick.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        lines_per_event = len(self._heads)
        runs = [
            lines(
                (stop - start) * lines_per_event,
                self._names(stop - start),
                number_piece(self._numbers, batch.values[start:stop]),
                self._labels.piece(batch.first_tick + start, stop - start, batch.spike_mask),
                stamp,
                b'"}\n',
            )
            for start, stop, stamp in millisecond_runs(batch.stamps_ns, rfc3339, lines_per_event)
        ]
        return joined(runs, len(batch), lines_per_event, LINE_FEED)

    def _names(self, count: int) -> LinePiece:
        return self._heads[0] if len(self._heads) == 1 else Cells(self._heads * count)


def build(plan: EntryPlan, spec: JsonLines) -> JsonLinesEncoder | JsonLogEncoder:
    """Return the encoder of `plan` under `spec`; precision plays no part in logs."""
    if isinstance(plan.generator, LogTemplate | ReplayRows):
        return JsonLogEncoder(plan, plan.generator)
    return JsonLinesEncoder(plan, spec.precision)
