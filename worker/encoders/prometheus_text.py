"""`prometheus_text`: one line of Prometheus text exposition an event. Source: encoder contract, section 6."""

from common.exposition import escape_label_value
from common.labels import label_space
from common.numbers import text_format
from common.plan import EntryPlan
from common.specs import PrometheusText
from worker.batch import Batch, Encoded
from worker.encoders.label_text import LabelSyntax, LabelText
from worker.encoders.lines import lines, number_piece
from worker.encoders.stamps import decimal, millisecond_runs


class PrometheusTextEncoder:
    """`name{labels} value milliseconds`."""

    def __init__(self, plan: EntryPlan, precision: int | None) -> None:
        syntax = LabelSyntax(
            opening=f"{plan.name}{{",
            closing="} ",
            empty=f"{plan.name} ",
            between=",",
            key='{}="'.format,
            after_value='"',
            escape=escape_label_value,
        )
        self._series = LabelText(label_space(plan), syntax)
        self._numbers = text_format(precision)

    def encode(self, batch: Batch) -> Encoded:
        """Return one line a tick.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        runs = [
            lines(
                stop - start,
                self._series.piece(batch.first_tick + start, stop - start, batch.spike_mask),
                number_piece(self._numbers, batch.values[start:stop]),
                b" ",
                stamp,
                b"\n",
            )
            for start, stop, stamp in millisecond_runs(batch.stamps_ns, decimal)
        ]
        return Encoded(b"".join(runs), len(batch))


def build(plan: EntryPlan, spec: PrometheusText) -> PrometheusTextEncoder:
    """Return the encoder of `plan` under `spec`."""
    return PrometheusTextEncoder(plan, spec.precision)
