"""`csv_replay` of logs: the rows of a file, one per tick, repeated or held at the last.

The choice of an event is its row: int32[n, 1]. Source: docs/scenarios.md, "Replays".
"""

import numpy as np
from numpy.typing import NDArray

from common.plan import ReplayRows
from worker.ticks.batch import BATCH_EVENTS


class LogReplayGenerator:
    """Row numbers of ticks."""

    def __init__(self, rows: int, *, repeat: bool) -> None:
        self._rows = rows
        self._repeat = repeat
        self._steps = np.arange(BATCH_EVENTS)

    def values(self, first_tick: int, count: int) -> NDArray[np.int32]:
        """Return int32[count, 1]."""
        steps = self._steps[:count]
        if self._repeat:
            rows = (first_tick % self._rows + steps) % self._rows
        else:
            rows = np.minimum(min(first_tick, self._rows) + steps, self._rows - 1)
        return rows.astype(np.int32)[:, np.newaxis]


def build(rows: ReplayRows, _rate: float) -> LogReplayGenerator:
    """Return the generator of `rows`, of which there is at least one; the rate plays no part."""
    return LogReplayGenerator(len(rows.messages), repeat=rows.repeat)
