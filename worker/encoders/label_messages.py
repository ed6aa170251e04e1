"""The constant parts of records whose labels rotate: made once for each label set that recurs, kept in a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import lcm
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.labels import Labels, LabelSpace, Rotation
from worker.encoders.protobuf import NumberCells
from worker.ticks.batch import BATCH_EVENTS

_MAX_TABLE_TICKS: Final = 4096
_MAX_TABLES: Final = 16
"""Sets of active spikes, each with a shape of record, whose tables are kept at a time."""

RecordTemplate = tuple[bytes, int]
"""A record with a hole where its numbers belong, and how many bytes it has from the beginning of the hole on."""

NumberSpot = tuple[int, NumberCells]
"""Where numbers are written, counted from the beginning of the hole, and these: [ticks, records], or [ticks, 1]."""


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of a run of ticks.

    Attributes:
        payload: the records of all ticks back to back, or those of one tick when all ticks have the same.
        lengths: int64[ticks, records per tick], or one row when all ticks have the same.
        behind: of the same shape, how many bytes each record has from its hole on.
    """

    payload: bytes
    lengths: NDArray[np.int64]
    behind: NDArray[np.int64]

    def filled(self, count: int, columns: Sequence[NumberSpot]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the bytes of the records of `count` ticks with numbers in their holes, and the length of each."""
        records = self.lengths.shape[1]
        if len(self.lengths) > 1 or count == 1:
            lengths = self.lengths[:count].ravel()
            out = np.frombuffer(bytearray(self.payload), np.uint8)
            holes = np.cumsum(lengths) - self.behind[:count].ravel()
            for offset, numbers in columns:
                width = numbers.itemsize
                # PERF: one index a number, not one a byte: every byte is taken for the beginning of a number.
                everywhere = np.ndarray((len(out) - width + 1,), numbers.dtype, out, 0, (1,))
                everywhere[holes + offset] = numbers.ravel() if numbers.shape[1] == records else numbers.repeat(records)
            return out, lengths
        out = np.frombuffer(bytearray(self.payload) * count, np.uint8)
        stride = len(self.payload)
        holes = np.cumsum(self.lengths[0]) - self.behind[0]
        for record, hole in enumerate(holes.tolist()):
            for offset, numbers in columns:
                column = np.ndarray((count,), numbers.dtype, out, hole + offset, (stride,))
                column[:] = numbers[:, record if numbers.shape[1] > 1 else 0]
        return out, self.lengths[0].repeat(count) if records == 1 else np.tile(self.lengths[0], count)


class LabelMessages:
    """Templates of one entry.

    Args:
        spaces: the label sets of each record of a tick.
        render: place of the record within its tick, its labels and the shape asked for, to its template.
    """

    def __init__(self, spaces: Sequence[LabelSpace], render: Callable[[int, Labels, int], RecordTemplate]) -> None:
        self._spaces = spaces
        self._render = render
        self._tables: dict[tuple[int, int], _Table] = {}

    def of(self, first_tick: int, count: int, spike_mask: int, shape: int) -> Templates:
        """Return the templates of `count` ticks, at most BATCH_EVENTS, while exactly these spikes are active."""
        table = self._table(spike_mask, shape)
        if table is None:
            return _joined([self._tick(first_tick + k, spike_mask, shape) for k in range(count)])
        return table.run(first_tick, count)

    def texts(self, first_tick: int, count: int, spike_mask: int) -> list[bytes]:
        """Return the records of each of these ticks, which have no holes."""
        table = self._table(spike_mask, 0)
        if table is None:
            ticks = (self._tick(first_tick + k, spike_mask, 0) for k in range(count))
            return [b"".join(text for text, _ in tick) for tick in ticks]
        return table.texts(first_tick, count)

    def _table(self, spike_mask: int, shape: int) -> "_Table | None":
        """Return the templates of all ticks until they repeat; None when that takes too many."""
        table = self._tables.get((spike_mask, shape))
        if table is None:
            period = self._period(spike_mask)
            if period > _MAX_TABLE_TICKS:
                return None
            if len(self._tables) >= _MAX_TABLES:
                self._tables.clear()
            ticks = [self._tick(tick, spike_mask, shape) for tick in range(period)]
            table = self._tables[spike_mask, shape] = _Table(ticks)
        return table

    def _period(self, spike_mask: int) -> int:
        rotations = (
            value.cardinality
            for space in self._spaces
            for _, value in space.layout(spike_mask)
            if isinstance(value, Rotation)
        )
        return lcm(*rotations)

    def _tick(self, tick: int, spike_mask: int, shape: int) -> list[RecordTemplate]:
        return [self._render(place, space.at(tick, spike_mask), shape) for place, space in enumerate(self._spaces)]


class _Table:
    """Templates that repeat, continued by one batch so that every run is one slice."""

    def __init__(self, ticks: list[list[RecordTemplate]]) -> None:
        self._period = len(ticks)
        once = _joined(ticks)
        texts = [b"".join(text for text, _ in tick) for tick in ticks]
        self._texts = [*texts, *islice(cycle(texts), BATCH_EVENTS)] if self._period > 1 else texts
        shape = (len(self._texts), once.lengths.shape[1])
        self._lengths, self._behind = np.resize(once.lengths, shape), np.resize(once.behind, shape)

    def run(self, first_tick: int, count: int) -> Templates:
        if self._period == 1:
            return Templates(self._texts[0], self._lengths, self._behind)
        part = slice(start := first_tick % self._period, start + count)
        return Templates(b"".join(self._texts[part]), self._lengths[part], self._behind[part])

    def texts(self, first_tick: int, count: int) -> list[bytes]:
        if self._period == 1:
            return self._texts * count
        return self._texts[(start := first_tick % self._period) : start + count]


def _joined(ticks: list[list[RecordTemplate]]) -> Templates:
    return Templates(
        b"".join(text for tick in ticks for text, _ in tick),
        np.array([[len(text) for text, _ in tick] for tick in ticks], dtype=np.int64),
        np.array([[behind for _, behind in tick] for tick in ticks], dtype=np.int64),
    )
