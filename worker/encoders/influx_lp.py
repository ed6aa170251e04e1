"""`influx_lp`: InfluxDB line protocol, a line per series and tick. Source: docs/formats.md, "Influx lines"."""

from common.numbers import text_format
from common.plan import EntryPlan
from common.series import Series, series_of
from common.specs import InfluxLp
from worker.encoders.label_text import LabelSyntax, LabelText, may_hold_line_feed
from worker.encoders.lines import LINE_FEED, NOT_UTF8, joined, lines, number_piece
from worker.encoders.series_text import SeriesText
from worker.encoders.stamps import nanoseconds
from worker.ticks.batch import Batch, Encoded

_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)


class InfluxLpEncoder:
    """`measurement,tag=value field=value nanoseconds`."""

    def __init__(self, plan: EntryPlan, field_key: str, precision: int | None) -> None:
        field = _escape(field_key)
        self._series = SeriesText([LabelText(series.labels, _syntax(series, field)) for series in series_of(plan)])
        self._numbers = text_format(precision)
        self._line_end = NOT_UTF8 if may_hold_line_feed(plan) or "\n" in field else LINE_FEED

    def encode(self, batch: Batch) -> Encoded:
        """Return a line for each series of each tick.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        events = len(batch)
        lines_per_event = self._series.lines_per_event
        text = lines(
            events * lines_per_event,
            self._series.piece(batch.first_tick, events, batch.spike_mask),
            number_piece(self._numbers, batch.values),
            b" ",
            nanoseconds(batch.stamps_ns, lines_per_event),
            self._line_end,
        )
        return joined([text], events, lines_per_event, self._line_end)


def _syntax(series: Series, field: str) -> LabelSyntax:
    measurement = _escape(series.name)
    return LabelSyntax(
        opening=f"{measurement},",
        closing=f" {field}=",
        empty=f"{measurement} {field}=",
        between=",",
        key=lambda key: f"{_escape(key)}=",
        after_value="",
        escape=_escape,
    )


def build(plan: EntryPlan, spec: InfluxLp) -> InfluxLpEncoder:
    """Return the encoder of `plan` under `spec`."""
    return InfluxLpEncoder(plan, spec.field_key, spec.precision)
