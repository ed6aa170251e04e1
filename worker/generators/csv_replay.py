"""`csv_replay` of metrics: the numbers of one column, a sequence. Source: docs/scenarios.md, "Replays".

A row without a sample has the value before it: it is not written, and a counter stands still there.
"""

import numpy as np

from common.plan import ReplayColumn, ValueOrigin
from worker.generators.sequence import SequenceGenerator


def build(column: ReplayColumn, _rate: float, _origin: ValueOrigin) -> SequenceGenerator:
    """Return the generator of `column`, which has at least one value; nothing else plays a part."""
    values = np.frombuffer(column.values, dtype="<f8")
    absent = np.isnan(values)
    if absent.any():
        values = values[np.maximum.accumulate(np.where(absent, 0, np.arange(len(values))))]
    return SequenceGenerator(values, repeat=column.repeat)
