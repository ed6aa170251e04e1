"""The constant parts of records whose labels rotate: made once for each label set that recurs, kept in a table."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from math import lcm
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.labels import Labels, LabelSpace, Rotation
from worker.ticks.batch import BATCH_EVENTS

_MAX_TABLE_TICKS: Final = 4096
_MAX_TABLES: Final = 16
"""Sets of active spikes, each with a shape of record, whose tables are kept at a time."""


@dataclass(frozen=True, slots=True)
class Templates:
    """Records of a run of ticks with holes where numbers belong.

    Attributes:
        payload: the records of all ticks back to back, or those of one tick when all ticks have the same.
        lengths: int64[ticks, records a tick], or one row when all ticks have the same.
    """

    payload: bytes
    lengths: NDArray[np.int64]


class LabelMessages:
    """Templates of one entry.

    Args:
        spaces: the label sets of each record of a tick.
        render: place of the record within its tick, its labels and the shape asked for, to its template.
    """

    def __init__(self, spaces: tuple[LabelSpace, ...], render: Callable[[int, Labels, int], bytes]) -> None:
        self._spaces = spaces
        self._render = render
        self._tables: dict[tuple[int, int], _Table] = {}

    def of(self, first_tick: int, count: int, spike_mask: int, shape: int) -> Templates:
        """Return the templates of `count` ticks, at most BATCH_EVENTS, while exactly these spikes are active."""
        period = self._period(spike_mask)
        if period > _MAX_TABLE_TICKS:
            ticks = [self._tick(first_tick + k, spike_mask, shape) for k in range(count)]
            return Templates(b"".join(b"".join(tick) for tick in ticks), _lengths(ticks))
        table = self._tables.get((spike_mask, shape))
        if table is None:
            if len(self._tables) >= _MAX_TABLES:
                self._tables.clear()
            ticks = [self._tick(tick, spike_mask, shape) for tick in range(period)]
            table = self._tables[spike_mask, shape] = _Table(ticks)
        return table.run(first_tick, count)

    def _period(self, spike_mask: int) -> int:
        rotations = (
            value.cardinality
            for space in self._spaces
            for _, value in space.layout(spike_mask)
            if isinstance(value, Rotation)
        )
        return lcm(*rotations)

    def _tick(self, tick: int, spike_mask: int, shape: int) -> list[bytes]:
        return [self._render(place, space.at(tick, spike_mask), shape) for place, space in enumerate(self._spaces)]


class _Table:
    """Templates that repeat, continued by one batch so that every run is one slice."""

    def __init__(self, ticks: list[list[bytes]]) -> None:
        self._period = len(ticks)
        texts = [b"".join(tick) for tick in ticks]
        self._texts = [*texts, *islice(cycle(texts), BATCH_EVENTS)] if self._period > 1 else texts
        lengths = _lengths(ticks)
        self._lengths = np.resize(lengths, (len(self._texts), lengths.shape[1]))

    def run(self, first_tick: int, count: int) -> Templates:
        if self._period == 1:
            return Templates(self._texts[0], self._lengths)
        start = first_tick % self._period
        return Templates(b"".join(self._texts[start : start + count]), self._lengths[start : start + count])


def _lengths(ticks: list[list[bytes]]) -> NDArray[np.int64]:
    return np.array([[len(record) for record in tick] for tick in ticks], dtype=np.int64)
