"""`csv_replay` of metrics: the numbers of one column, a sequence. Source: docs/scenarios.md, "Replays"."""

import numpy as np

from common.plan import ReplayColumn
from worker.generators.sequence import SequenceGenerator


def build(column: ReplayColumn, _rate: float) -> SequenceGenerator:
    """Return the generator of `column`, which has at least one value; the rate plays no part."""
    return SequenceGenerator(np.frombuffer(column.values, dtype="<f8"), repeat=column.repeat)
