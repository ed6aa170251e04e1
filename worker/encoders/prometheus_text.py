"""`prometheus_text`: Prometheus text exposition, a line per series and tick.

Source: docs/formats.md, "Prometheus text".
"""

from common.families import escape_label_value
from common.numbers import text_format
from common.plan import EntryPlan
from common.series import Series, series_of
from common.specs import PrometheusText
from worker.encoders.label_text import LabelSyntax, LabelText
from worker.encoders.lines import LINE_FEED, joined, lines, number_piece
from worker.encoders.series_text import SeriesText
from worker.encoders.stamps import decimal, millisecond_runs
from worker.ticks.batch import Batch, Encoded


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
            lines(
                (stop - start) * lines_per_event,
                self._series.piece(batch.first_tick + start, stop - start, batch.spike_mask),
                number_piece(self._numbers, batch.values[start:stop]),
                b" ",
                stamp,
                LINE_FEED,
            )
            for start, stop, stamp in millisecond_runs(batch.stamps_ns, decimal, lines_per_event)
        ]
        return joined(runs, len(batch), lines_per_event, LINE_FEED)


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
