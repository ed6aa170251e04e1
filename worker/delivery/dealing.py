"""Which lane an event takes, so that the events of one series stay in order: all of them take the same one. Pure.

Source: docs/sinks.md, "Several requests at a time".
"""

import math
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.labels import Labels, Rotation, label_space
from common.plan import EntryPlan
from common.specs import Loki
from worker.ticks.batch import Batch, Encoded

MAX_DEALT_SERIES: Final = 4096
"""Series that are dealt one after the other, as evenly as can be; of more, a hash decides."""


def lanes_of(plan: EntryPlan) -> int:
    """Return how many requests of an entry may be in flight: no more than it has series that can take turns."""
    if isinstance(plan.sink, Loki) and plan.signal_type != "logs":
        # All lines are of one stream.
        return 1
    return min(plan.sink.max_in_flight, _most_series(plan))


class Dealing:
    """Deals the events of one entry to lanes.

    Args:
        plan: the entry.
        lanes: how many there are.
    """

    def __init__(self, plan: EntryPlan, lanes: int) -> None:
        self._lanes = lanes
        self._space = label_space(plan)
        self._hashes = _most_series(plan) > MAX_DEALT_SERIES
        self._lane_of: dict[Labels, int] = {}
        self._tables: dict[int, NDArray[np.int64]] = {}

    def deal(self, batch: Batch, encoded: Encoded) -> Iterator[tuple[int, Batch, Encoded]]:
        """Yield the lanes that get events of a whole batch, each with its part of it, in the batch's order."""
        lanes = self.lanes_at(batch)
        taken = np.unique(lanes)
        if len(taken) == 1:
            yield int(taken[0]), batch, encoded
            return
        for lane in taken.tolist():
            indexes = np.flatnonzero(lanes == lane)
            yield lane, batch.only(indexes), encoded.only(indexes)

    def lanes_at(self, batch: Batch) -> NDArray[np.int64]:
        """Return int64[n]: the lane of every event of a whole batch."""
        ticks = np.arange(batch.first_tick, batch.first_tick + len(batch), dtype=np.int64)
        if not self._hashes:
            table = self._table(batch.spike_mask)
            return table[ticks % len(table)]
        at, mask = self._space.at, batch.spike_mask
        hashes = [zlib.crc32(repr(at(tick, mask)).encode()) % self._lanes for tick in ticks.tolist()]
        return np.array(hashes, dtype=np.int64)

    def _table(self, spike_mask: int) -> NDArray[np.int64]:
        """Return the lanes of ticks 0, 1, … up to where the labels recur while exactly these spikes are active."""
        table = self._tables.get(spike_mask)
        if table is None:
            layout = self._space.layout(spike_mask)
            period = math.lcm(*(value.cardinality for _, value in layout if isinstance(value, Rotation)))
            series = (self._space.at(tick, spike_mask) for tick in range(period))
            # Two ticks may share a series: a list of values may repeat one, a spike may replace a label.
            lanes = [self._lane_of.setdefault(labels, len(self._lane_of) % self._lanes) for labels in series]
            table = self._tables[spike_mask] = np.array(lanes, dtype=np.int64)
        return table


def _most_series(plan: EntryPlan) -> int:
    """Return a bound of how many ticks it takes until labels recur."""
    return label_space(plan).recurs_after
