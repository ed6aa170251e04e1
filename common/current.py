"""The newest value of every series of an entry, in its row of the board.

Each series has a slot of its own, found from plan, tick and active label spikes alone, so that label text is not stored
and writing costs the same however many series there are:

::

    spikes 0    index 0: series 0, 1, … of a tick | index 1: … | … as many indices as label sets rotate
    spikes 1    …                                    a region for each set of active spikes, in ascending order
    …

A slot is a value (f64) and whether it was written. The index of a tick is its number modulo the size of the rotation.
What finds no room in CURRENT_SLOTS is not shown: the label sets of the highest indices, and sets of spikes that come
late in the order. The ring of recent samples still has those.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.board import CURRENT_OFFSET, CURRENT_SEQUENCE_CELL, CURRENT_SLOTS
from common.labels import Labels, Rotation
from common.plan import EntryPlan
from common.series import Series, series_of

SeriesKey = tuple[str, Labels]
"""Name and labels of a series."""

SeriesValue = tuple[SeriesKey, float]
"""A series and its newest value."""

_MAX_REGIONS: Final = 256
_VALUE_BYTES: Final = 24
_READ_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class _Region:
    """Slots of the label sets under one set of active spikes.

    Attributes:
        start: first slot.
        period: how many label sets rotate.
        shown: how many of them have slots.
    """

    start: int
    period: int
    shown: int


class CurrentValues:
    """One entry's newest values, seen by their writer or by a reader.

    Args:
        view: memory of the entry's row.
        plan: the entry; not one of logs.
    """

    __slots__ = ("_doubles", "_flags", "_header", "_regions", "_series", "_values", "_written")

    def __init__(self, view: memoryview, plan: EntryPlan) -> None:
        flags_offset = CURRENT_OFFSET + 8 * CURRENT_SLOTS
        slots = view[CURRENT_OFFSET:flags_offset]
        self._header = view[: 8 * (CURRENT_SEQUENCE_CELL + 1)].cast("Q")
        self._doubles = slots.cast("d")
        self._flags = view[flags_offset : flags_offset + CURRENT_SLOTS]
        self._values = np.frombuffer(slots, dtype=np.float64)
        self._written = np.frombuffer(self._flags, dtype=np.uint8)
        self._series = series_of(plan)
        self._regions = _regions(self._series, len(plan.cardinality_spikes))

    def put(self, first_tick: int, values: NDArray[np.float64], spike_mask: int) -> None:
        """Show the values of consecutive ticks; only the row's worker may call this.

        Args:
            first_tick: number of the first tick.
            values: float64[n], or float64[n, series].
            spike_mask: the label spikes active at all of these ticks, one bit each.
        """
        region = self._regions.get(spike_mask)
        if region is None:
            return
        if values.size == 1 or (region.period == 1 and values.ndim == 1):
            # PERF: every tick of a slow scenario comes this way, and all ticks of an entry whose labels do not rotate.
            # One value is seen whole without a sequence number.
            index = (first_tick + len(values) - 1) % region.period
            if index < region.shown:
                self._doubles[region.start + index] = values.item(-1)
                self._flags[region.start + index] = 1
            return
        sequence = self._header[CURRENT_SEQUENCE_CELL] | 1
        self._header[CURRENT_SEQUENCE_CELL] = sequence
        self._put_columns(first_tick, values, region)
        self._header[CURRENT_SEQUENCE_CELL] = sequence + 1

    def clear(self) -> None:
        """Forget all values; only the row's worker may call this."""
        self._written[:] = 0

    def newest(self) -> list[SeriesValue]:
        """Return each series that was emitted with its newest value, sorted by name, then by labels."""
        found: dict[SeriesKey, float] = {}
        width = len(self._series)
        for spike_mask, region in self._regions.items():
            values, written = self._copied(region.start, region.start + region.shown * width)
            slots = np.flatnonzero(written)
            for slot, value in zip(slots.tolist(), values[slots].tolist(), strict=True):
                index, place = divmod(slot, width)
                series = self._series[place]
                found[series.name, series.labels.at(index, spike_mask)] = value
        return sorted(found.items())

    def text_bytes(self) -> int:
        """Return about how long the text of `newest` is, at most."""
        width, total = len(self._series), 0
        for spike_mask, region in self._regions.items():
            emitted = np.count_nonzero(self._written[region.start : region.start + region.shown * width])
            if emitted:
                longest = max(len(series.name) + series.labels.longest(spike_mask) for series in self._series)
                total += int(emitted) * (longest + _VALUE_BYTES)
        return total

    def _put_columns(self, first_tick: int, values: NDArray[np.float64], region: _Region) -> None:
        skipped = max(len(values) - region.period, 0)
        index = (first_tick + skipped) % region.period
        width = values[0].size
        done = skipped
        while done < len(values):
            count = min(len(values) - done, region.period - index)
            shown = min(count, max(region.shown - index, 0))
            slots = slice(region.start + index * width, region.start + (index + shown) * width)
            self._values[slots] = values[done : done + shown].reshape(-1)
            self._written[slots] = 1
            done += count
            index = 0

    def _copied(self, start: int, stop: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Return slots as they were between two writes; after some attempts as they are."""
        for _ in range(_READ_ATTEMPTS):
            before = self._header[CURRENT_SEQUENCE_CELL]
            values, written = self._values[start:stop].copy(), self._written[start:stop].copy()
            if before == self._header[CURRENT_SEQUENCE_CELL] and not before & 1:
                break
        return values, written


def _regions(series: tuple[Series, ...], spikes: int) -> dict[int, _Region]:
    # All series of an entry rotate alike.
    labels = series[0].labels
    regions: dict[int, _Region] = {}
    start = 0
    for spike_mask in range(min(1 << spikes, _MAX_REGIONS)):
        values = (value for _, value in labels.layout(spike_mask))
        period = math.lcm(*(value.cardinality for value in values if isinstance(value, Rotation)))
        shown = min(period, (CURRENT_SLOTS - start) // len(series))
        if not shown:
            break
        regions[spike_mask] = _Region(start, period, shown)
        start += shown * len(series)
    return regions
