"""What a gated entry says when it leaves emission: one last sample for every series it has written.

Series are kept as ranges of ticks modulo the period in which all rotating labels repeat, so a run of any length and
cardinality takes little memory. Source: docs/states.md, "Gates".
"""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from math import lcm
from typing import Final

import numpy as np

from common.labels import Labels, Rotation, label_space
from common.plan import EntryPlan
from worker.ticks.batch import BATCH_EVENTS, Batch
from worker.ticks.schedule import Span

STALE_MARKER: Final = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]
"""What Prometheus takes for the end of a series: a NaN of its own, whose bits no arithmetic may touch."""

_BEHIND_NS: Final = 1_000_000
"""How far behind the newest sample the last ones are stamped."""

MAX_RANGES: Final = 65_536
"""Per set of active spikes; beyond, series between two that were written get a last sample as well."""


class TickRanges:
    """Ticks modulo a period, as ranges that neither touch nor overlap, in ascending order.

    Args:
        period: ticks that are this far apart are the same.
    """

    def __init__(self, period: int) -> None:
        self._period = period
        self._starts: list[int] = []
        self._stops: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._stops, strict=True)

    def add(self, first: int, count: int) -> None:
        """Add `count` consecutive ticks."""
        start = first % self._period
        stop = min(start + count, start + self._period)
        self._put(start, min(stop, self._period))
        if stop > self._period:
            self._put(0, stop - self._period)

    def _put(self, start: int, stop: int) -> None:
        """Add a range, and join it with all that it touches."""
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first == last and len(self._starts) >= MAX_RANGES:
            first = max(first - 1, 0)
            last = first + 1
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._starts[first:last] = [start]
        self._stops[first:last] = [stop]


class ClosingSamples:
    """Series written since they were last closed, and their last samples.

    Args:
        plan: the entry, whose signal type is metrics.
        value: of every last sample.

    Attributes:
        stamp_ns: of the newest sample, ns since the epoch.
    """

    def __init__(self, plan: EntryPlan, value: float) -> None:
        self._value = value
        self._space = label_space(plan)
        self._written: dict[int, TickRanges] = {}
        self.stamp_ns = 0
        self._repeats = any(
            label.values is not None and len(set(label.values)) < len(label.values) for label in plan.dynamic_labels
        )

    def __bool__(self) -> bool:
        """Whether there is anything to close."""
        return bool(self._written)

    def note(self, first_tick: int, events: int, last_stamp_ns: int, spike_mask: int) -> None:
        """Note that the samples of consecutive ticks were written, the newest with this stamp (ns since the epoch)."""
        ranges = self._written.get(spike_mask)
        if ranges is None:
            ranges = self._written[spike_mask] = TickRanges(self._period(spike_mask))
        ranges.add(first_tick, events)
        self.stamp_ns = last_stamp_ns

    def note_parts(self, batch: Batch, parts: Iterable[tuple[int, int]]) -> None:
        """Note that the samples of parts of a batch, ranges [start, stop), were written."""
        for first, stop in parts:
            self.note(batch.first_tick + first, stop - first, batch.stamps_ns.item(stop - 1), batch.spike_mask)

    def note_spans(self, spans: Iterable[Span]) -> None:
        """Note that the samples of all ticks of `spans` were written."""
        for span in spans:
            self.note(span.first_tick, len(span.stamps_ns), span.stamps_ns.item(-1), span.spike_mask)

    def take(self) -> Iterator[Batch]:
        """Return the last samples of all series as batches, and forget the series."""
        written, self._written = self._written, {}
        # With one set of spikes the series of different ticks differ; otherwise two ticks may share one.
        seen: set[Labels] | None = set() if self._repeats or len(written) > 1 else None
        for spike_mask, ranges in written.items():
            for start, stop in ranges:
                for first in range(start, stop, BATCH_EVENTS):
                    for run in self._unseen(first, min(first + BATCH_EVENTS, stop), spike_mask, seen):
                        yield self._batch(run, spike_mask)

    def _period(self, spike_mask: int) -> int:
        rotations = [value for _, value in self._space.layout(spike_mask) if isinstance(value, Rotation)]
        return lcm(*(rotation.cardinality for rotation in rotations))

    def _unseen(self, first: int, stop: int, spike_mask: int, seen: set[Labels] | None) -> Iterator[range]:
        """Return the ticks whose series are not in `seen`, as ranges, and put them there."""
        if seen is None:
            yield range(first, stop)
            return
        start = first
        for tick in range(first, stop):
            labels = self._space.at(tick, spike_mask)
            if labels in seen:
                if start < tick:
                    yield range(start, tick)
                start = tick + 1
            seen.add(labels)
        if start < stop:
            yield range(start, stop)

    def _batch(self, ticks: range, spike_mask: int) -> Batch:
        return Batch(
            ticks.start,
            np.full(len(ticks), self._value),
            np.full(len(ticks), self.stamp_ns + _BEHIND_NS, dtype=np.int64),
            spike_mask,
        )


def closing_samples(plan: EntryPlan) -> ClosingSamples | None:
    """Return what keeps track of the series to close; None when nothing is written at a close."""
    gate = plan.gate
    if gate is None or plan.signal_type != "metrics":
        return None
    if gate.snap_to is not None:
        return ClosingSamples(plan, gate.snap_to)
    marks = plan.sink.closes_series and gate.stale_marker is not False
    return ClosingSamples(plan, STALE_MARKER) if marks else None
