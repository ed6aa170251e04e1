"""The digest of what an entry has delivered. Source: docs/values.md, "Digest"."""

from collections.abc import Callable, Iterable
from math import lcm
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.counters import Counters
from common.digest import DigestSums, MixedSeries, label_hash, mixed_series, record_sums, text_hash, value_bits
from common.labels import Layout, Rotation, label_space
from common.own_ticks import own_ticks
from common.plan import EntryPlan, ReplayRows
from common.series import series_of
from common.specs import LogTemplate
from worker.encoders.log_text import LogMessage, LogText
from worker.ticks.batch import Batch

_MOST_KNOWN: Final = 65_536
"""Texts whose hashes are kept at a time."""


class Digest:
    """DigestSums up records.

    Args:
        plan: the entry.
    """

    def __init__(self, plan: EntryPlan) -> None:
        if isinstance(plan.generator, LogTemplate | ReplayRows):
            self._names = [0]
            self._spaces = [label_space(plan)]
            self._contents = _messages(LogText(plan.generator, [LogMessage(str.encode)], own_ticks(plan)))
        else:
            series = series_of(plan)
            self._names = [text_hash(one.name.encode()) for one in series]
            self._spaces = [one.labels for one in series]
            self._contents = _numbers
        self._series: dict[int, _Series] = {}
        self._batch: Batch | None = None
        self._reached = 0

    def begin(self, batch: Batch) -> None:
        """Let `add` be of this batch from now on."""
        self._batch, self._reached = batch, 0

    def add(self, counters: Counters, counted: Iterable[tuple[int, int]]) -> None:
        """Add events of the batch, as ranges [start, stop), where they were not added before; nothing without one."""
        if self._batch is None:
            return
        for start, stop in counted:
            first = max(start, self._reached)
            if first < stop:
                _change(counters, 1, self._sums(self._batch, first, stop))
                self._reached = stop

    def take_back(self, counters: Counters, batches: Iterable[Batch]) -> None:
        """Take out events that were added."""
        for batch in batches:
            _change(counters, -1, self._sums(batch, 0, len(batch)))

    def _sums(self, batch: Batch, first: int, stop: int) -> DigestSums:
        """Return the digest of some events of a batch."""
        series = self._series.get(batch.spike_mask)
        if series is None:
            layouts = [space.layout(batch.spike_mask) for space in self._spaces]
            series = self._series[batch.spike_mask] = _Series(self._names, layouts)
        part = batch.part(first, stop)
        return record_sums(series.mixed(part.first_tick, len(part)), part.stamps_ns, self._contents(part))


def _change(counters: Counters, sign: int, sums: DigestSums) -> None:
    counters.digest_first = (counters.digest_first + sign * sums[0]) % 2**64
    counters.digest_second = (counters.digest_second + sign * sums[1]) % 2**64


class _Series:
    """The hashes of the series of ticks, while one set of spikes is active.

    Args:
        names: the hash of the name of each series of a tick.
        layouts: their labels, which rotate alike.
    """

    def __init__(self, names: list[int], layouts: list[Layout]) -> None:
        fixed = [
            name + sum(label_hash(key, value) for key, value in layout if isinstance(value, str))
            for name, layout in zip(names, layouts, strict=True)
        ]
        self._fixed = np.array([one % 2**64 for one in fixed], dtype=np.uint64)
        rotations = [(key, value) for key, value in layouts[0] if isinstance(value, Rotation)]
        self._rotations = [_Rotating(key, value) for key, value in rotations]
        self._period = lcm(*(value.cardinality for _, value in rotations))
        self._table: MixedSeries | None = None
        if self._period * len(names) <= _MOST_KNOWN:
            self._table = mixed_series(self._hashes(0, self._period))

    def mixed(self, first_tick: int, count: int) -> MixedSeries:
        """Return what the series of consecutive ticks begin with."""
        if self._table is None:
            return mixed_series(self._hashes(first_tick, count))
        if self._period == 1:
            return self._table
        places = (np.arange(count) + first_tick % self._period) % self._period
        return self._table[0][places], self._table[1][places]

    def _hashes(self, first_tick: int, count: int) -> NDArray[np.uint64]:
        """Return uint64[count, series]."""
        hashes = np.broadcast_to(self._fixed, (count, len(self._fixed)))
        for rotation in self._rotations:
            hashes = hashes + rotation.hashes(first_tick, count)[:, np.newaxis]
        return hashes


class _Rotating:
    """The hashes of one label that rotates; of its values those that recur are kept."""

    def __init__(self, key: str, rotation: Rotation) -> None:
        self._key = key
        self._rotation = rotation
        self._known: dict[int, int] = {}

    def hashes(self, first_tick: int, count: int) -> NDArray[np.uint64]:
        """Return uint64[count]."""
        known = self._known
        if len(known) > _MOST_KNOWN:
            known.clear()
        indexes = self._rotation.indexes(first_tick, count)
        for index in indexes:
            if index not in known:
                known[index] = label_hash(self._key, self._rotation.choice(index))
        return np.array([known[index] for index in indexes], dtype=np.uint64)


def _numbers(batch: Batch) -> NDArray[np.uint64]:
    return value_bits(batch.values.reshape(len(batch), -1))


def _messages(text: LogText) -> Callable[[Batch], NDArray[np.uint64]]:
    known: dict[bytes, int] = {}

    def hashes(batch: Batch) -> NDArray[np.uint64]:
        if len(known) > _MOST_KNOWN:
            known.clear()
        messages = text.cells(batch.first_tick, batch.values)
        for message in messages:
            if message not in known:
                known[message] = text_hash(message)
        return np.array([[known[message]] for message in messages], dtype=np.uint64)

    return hashes
