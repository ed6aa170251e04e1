"""`json_lines`: one compact JSON object a line. Source: encoder contract, section 8."""

import msgspec

from common.labels import label_space
from common.numbers import json_format
from common.plan import EntryPlan
from common.specs import JsonLines
from worker.batch import Batch, Encoded
from worker.encoders.label_text import LabelSyntax, LabelText
from worker.encoders.lines import lines, number_piece
from worker.encoders.stamps import millisecond_runs, rfc3339


def escape_json(text: str) -> str:
    """Return `text` as it stands between the quotes of a JSON string."""
    return msgspec.json.encode(text)[1:-1].decode()


class JsonLinesEncoder:
    """`{"name":…,"value":…,"labels":{…},"timestamp":…}`."""

    def __init__(self, plan: EntryPlan, precision: int | None) -> None:
        syntax = LabelSyntax(
            opening=',"labels":{',
            closing='},"timestamp":"',
            empty=',"labels":{},"timestamp":"',
            between=",",
            key=lambda key: f'"{escape_json(key)}":"',
            after_value='"',
            escape=escape_json,
        )
        self._head = f'{{"name":"{escape_json(plan.name)}","value":'.encode()
        self._labels = LabelText(label_space(plan), syntax)
        self._numbers = json_format(precision)

    def encode(self, batch: Batch) -> Encoded:
        """Return one line a tick.

        Raises:
            EncoderError: a stamp lies before the epoch.
        """
        runs = [
            lines(
                stop - start,
                self._head,
                number_piece(self._numbers, batch.values[start:stop]),
                self._labels.piece(batch.first_tick + start, stop - start, batch.spike_mask),
                stamp,
                b'"}\n',
            )
            for start, stop, stamp in millisecond_runs(batch.stamps_ns, rfc3339)
        ]
        return Encoded(b"".join(runs), len(batch))


def build(plan: EntryPlan, spec: JsonLines) -> JsonLinesEncoder:
    """Return the encoder of `plan` under `spec`."""
    return JsonLinesEncoder(plan, spec.precision)
