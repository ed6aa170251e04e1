"""`csv_replay` of logs: the rows of a file, one per tick, repeated or held at the last.

The choice of an event is its row: int32[n, 1]. Source: docs/scenarios.md, "Replays".
"""

import numpy as np
from numpy.typing import NDArray

from common.plan import ReplayRows, ValueOrigin
from worker.generators.tick_generator import TickGenerator


class LogReplayGenerator(TickGenerator):
    """Row numbers of ticks."""

    def __init__(self, rows: int, *, repeat: bool) -> None:
        self._rows = np.uint64(rows)
        self._repeat = repeat

    def at(self, ticks: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Return int32[n, 1]."""
        rows = ticks % self._rows if self._repeat else np.minimum(ticks, self._rows - np.uint64(1))
        return rows.astype(np.int32)[:, np.newaxis]


def build(rows: ReplayRows, _rate: float, _origin: ValueOrigin) -> LogReplayGenerator:
    """Return the generator of `rows`, of which there is at least one; nothing else plays a part."""
    return LogReplayGenerator(len(rows.messages), repeat=rows.repeat)
