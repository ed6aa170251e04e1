"""`prometheus_text`: Prometheus text exposition, a line per series and tick.

Source: docs/formats.md, "Prometheus text".
"""

from typing import Final

from common.families import escape_label_value
from common.numbers import text_format
from common.plan import EntryPlan
from common.series import Series, series_of
from common.specs import PrometheusText
from worker.encoders.label_text import LabelSyntax, LabelText
from worker.encoders.lines import LINE_FEED, LinePiece, joined, lines, number_piece, number_pieces
from worker.encoders.series_text import SeriesText
from worker.encoders.stamps import decimal, millisecond_runs
from worker.ticks.batch import Batch, Encoded

_FEWEST_IN_COLUMNS: Final = 256
"""PERF: so many ticks make up for what each column of numbers costs, however short."""


class PrometheusTextEncoder:
    """`name{labels} value milliseconds`."""

    def __init__(self, plan: EntryPlan, precision: int | None) -> None:
        self._series = SeriesText([LabelText(series.labels, _syntax(series)) for series in series_of(plan)])
        self._numbers = text_format(precision)

    def encode(self, batch: Batch) -> Encoded:
        """Return a line for each series of each tick.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        lines_per_event = self._series.lines_per_event
        runs = [
            self._lines(batch, start, stop, stamp)
            for start, stop, stamp in millisecond_runs(batch.stamps_ns, decimal, lines_per_event)
        ]
        return joined(runs, len(batch), lines_per_event, LINE_FEED)

    def _lines(self, batch: Batch, start: int, stop: int, stamp: LinePiece) -> bytes:
        count, values, per_event = stop - start, batch.values[start:stop], self._series.lines_per_event
        texts = None
        if per_event > 1 and count >= _FEWEST_IN_COLUMNS:
            texts = self._series.constants(batch.spike_mask)
        if texts is None or not isinstance(stamp, bytes):
            labels = self._series.piece(batch.first_tick + start, count, batch.spike_mask)
            return lines(count * per_event, labels, number_piece(self._numbers, values), b" ", stamp, LINE_FEED)
        end = b" " + stamp + LINE_FEED
        numbers = number_pieces(self._numbers, values.reshape(count, len(texts)))
        pieces: list[LinePiece] = []
        for text, column in zip(texts, numbers, strict=True):
            pieces += (text, column, end)
        return lines(count, *pieces)


def _syntax(series: Series) -> LabelSyntax:
    return LabelSyntax(
        opening=f"{series.name}{{",
        closing="} ",
        empty=f"{series.name} ",
        between=",",
        key='{}="'.format,
        after_value='"',
        escape=escape_label_value,
    )


def build(plan: EntryPlan, spec: PrometheusText) -> PrometheusTextEncoder:
    """Return the encoder of `plan` under `spec`."""
    return PrometheusTextEncoder(plan, spec.precision)
