"""Which ticks of each entry belong to a segment: every series to one, segments of equal rates. Pure.

::

    fast series, and entries of one     dealt, the fastest first, each to the segment with the least until then
    entries of many slow series         one behind the other, are laid along what the segments lack of an equal rate:

                        |    entry 3         |  entry 1     |     entry 2              |
                        | segment 1  | segment 2 |  segment 3         | segment 4      |

The series of such an entry stand there in a scattered order, so that those of a segment are spread over its ticks.
All hosts find the same, from nothing but the body and the number of segments. The rule has the version
`common.segments.SPLIT_VERSION`. Source: docs/values.md, "Segments".
"""

import hashlib
import heapq
import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import gcd, inf, lcm
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from common.labels import LabelSpace, Rotation
from common.plan import (
    EntryPlan,
    FileAccess,
    GatePlan,
    Histogram,
    PlannedEntry,
    SegmentOf,
    Summary,
    TickShare,
    gathering_ns,
)
from common.segments import SPLIT_VERSION, Segment, Split
from common.specs import Memory

MOST_UNITS: Final = 1 << 20
"""Where labels take more ticks to recur, ticks that are a smaller number apart go together."""

_FINE_PART: Final = 1 / 20
"""Of the rate of a segment: the series of an entry are slow when none has more."""

_SCATTER: Final = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: multiples of it, modulo 2^64, fill the range evenly."""


@dataclass(frozen=True, slots=True)
class EntryShare:
    """What a segment has of an entry.

    Attributes:
        share: its ticks; None for all.
        series: how many series they have.
    """

    share: TickShare | None
    series: int


class Units:
    """The parts of an entry that go to a segment whole: ticks whose numbers modulo a period are in one class.

    Args:
        plan: the entry.
        split: how it is shared.

    Attributes:
        period: ticks that are this far apart go together.
        series: how many series the entry has.
    """

    def __init__(self, plan: EntryPlan, split: Split) -> None:
        layout = LabelSpace(plan.labels, plan.dynamic_labels).layout(0)
        rotating = {key: value for key, value in layout if isinstance(value, Rotation)}
        together = lcm(*(label.choices for label in rotating.values()))
        # A spike takes the place of a label, and ticks that the label told apart then share a series.
        for spike in plan.cardinality_spikes:
            rotating.pop(spike.key, None)
        if split == "ticks" or _needs_all_ticks(plan):
            rotating = {}
        if lcm(*(label.choices for label in rotating.values())) > MOST_UNITS:
            rotating = {key: label for key, label in rotating.items() if not _repeats(label)}
        self.period = _period([label.choices for label in rotating.values()])
        self._classes = _classes(rotating.values(), self.period)
        self.series = together // self.period * len(self)

    def __len__(self) -> int:
        return self.period if self._classes is None else len(self._classes.ends)

    def span(self, unit: int) -> tuple[int, int]:
        """Return where a unit stands in the scattered order of all residues."""
        if self._classes is None:
            return unit, unit + 1
        return int(self._classes.ends[unit - 1]) if unit else 0, int(self._classes.ends[unit])

    def part(self, spans: Sequence[tuple[int, int]]) -> EntryShare | None:
        """Return what lies in parts of the scattered order, each from the beginning of a unit to the end of one."""
        length = sum(stop - start for start, stop in spans)
        if length == 0:
            return None
        if length == self.period:
            return EntryShare(None, self.series)
        order = _scattered(self.period) if self._classes is None else self._classes.order
        residues = np.sort(np.concatenate([order[start:stop] for start, stop in spans])).astype("<i4")
        units = length
        if self._classes is not None:
            units = sum(int(np.count_nonzero((self._classes.ends > a) & (self._classes.ends <= b))) for a, b in spans)
        return EntryShare(TickShare(period=self.period, residues=residues.tobytes()), self.series // len(self) * units)

    def nearest(self, part: float) -> int:
        """Return the end of a unit that is nearest to a part of the order, in [0, 1]; 0 is one, too."""
        place = min(max(part, 0.0), 1.0) * self.period
        if self._classes is None:
            return round(place)
        before = max(int(np.searchsorted(self._classes.ends, place)) - 1, 0)
        ends: list[int] = [0, *self._classes.ends[before : before + 2].tolist()]
        return min(ends, key=lambda end: abs(end - place))


def shared(
    entries: Sequence[tuple[PlannedEntry, Split]], segment: Segment
) -> tuple[tuple[PlannedEntry, ...], SegmentOf]:
    """Return what a segment has of a body.

    Args:
        entries: all of the body, each with how it is shared.
        segment: which one.
    """
    deal = Deal([(entry.plan, split) for entry, split in entries], segment.count)
    upstreams = {entry.plan.id: entry.plan for entry, _ in entries}
    kept, series = [], 0
    for place, ((entry, _), part) in enumerate(zip(entries, deal.parts(segment), strict=True)):
        if part is not None:
            plan = msgspec.structs.replace(entry.plan, share=part.share, gate=_computed(entry.plan.gate, upstreams))
            plan = msgspec.structs.replace(plan, gathering_ns=gathering_ns(plan.own_rate))
            kept.append(msgspec.structs.replace(entry, plan=plan, place=place, segment=str(segment)))
            series += part.series
    share = SegmentOf(
        index=segment.index,
        count=segment.count,
        version=SPLIT_VERSION,
        series=series,
        total_series=deal.series,
        rate=math.fsum(entry.plan.own_rate for entry in kept),
        total_rate=math.fsum(entry.plan.rate for entry, _ in entries),
        fingerprint=_fingerprint(entries),
    )
    return tuple(kept), share


def _fingerprint(entries: Iterable[tuple[PlannedEntry, Split]]) -> str:
    """Return what differs between hosts that would make different data; where files may be makes no difference."""
    told = [(msgspec.structs.replace(entry.plan, files=FileAccess()), split) for entry, split in entries]
    return hashlib.blake2b(msgspec.msgpack.encode(told, order="deterministic"), digest_size=16).hexdigest()


def _computed(gate: GatePlan | None, upstreams: Mapping[str | None, EntryPlan]) -> GatePlan | None:
    """Return a gate with the whole entry that it watches, which may be on another host."""
    if gate is None:
        return None
    upstream = upstreams[gate.ref]
    upstream = msgspec.structs.replace(upstream, gate=_computed(upstream.gate, upstreams), sink=Memory())
    return msgspec.structs.replace(gate, upstream=upstream)


class Deal:
    """How a body is shared.

    Args:
        entries: each with how it is shared.
        count: of segments.
    """

    def __init__(self, entries: Sequence[tuple[EntryPlan, Split]], count: int) -> None:
        self._count = count
        self._units = [Units(plan, split) for plan, split in entries]
        self._rates = [plan.rate for plan, _ in entries]
        self._takes_turns = [split == "ticks" for _, split in entries]
        hashes = [_entry_hash(plan) for plan, _ in entries]
        order = sorted(range(len(entries)), key=lambda number: (hashes[number], number))
        numbers = [number for number in order if not self._takes_turns[number]]
        fine = math.fsum(self._rates[number] for number in numbers) / count * _FINE_PART
        laid = [number for number in numbers if 1 < len(self._units[number]) >= self._rates[number] / fine]
        loads = self._deal([number for number in numbers if number not in laid])
        # Where the other entries begin and end, and where each segment does, on one line.
        ends = list(accumulate(self._rates[number] for number in laid))
        self._begins = {number: end - self._rates[number] for number, end in zip(laid, ends, strict=True)}
        lacking = _lacking(loads, ends[-1] if ends else 0.0)
        self._bounds = [0.0, *accumulate(lacking)]
        last = max((segment for segment in range(count) if lacking[segment] > 0), default=0)
        self._bounds[last + 1 :] = [inf] * (count - last)

    @property
    def series(self) -> int:
        """How many series the body has."""
        return sum(units.series for units in self._units)

    def parts(self, segment: Segment) -> list[EntryShare | None]:
        """Return what a segment has of each entry."""
        return [self._part(number, segment.index - 1) for number in range(len(self._units))]

    def _deal(self, numbers: Sequence[int]) -> list[float]:
        """Deal the units of entries; return the rate of each segment."""
        weights = []
        for place, number in enumerate(numbers):
            units = self._units[number]
            for unit in range(len(units)):
                start, stop = units.span(unit)
                weights.append((-self._rates[number] * (stop - start) / units.period, place, unit))
        loads = [(0.0, segment) for segment in range(self._count)]
        self._dealt: dict[int, dict[int, list[int]]] = {number: defaultdict(list) for number in numbers}
        for weight, place, unit in sorted(weights):
            load, segment = loads[0]
            heapq.heapreplace(loads, (load - weight, segment))
            self._dealt[numbers[place]][segment].append(unit)
        return [load for load, _ in sorted(loads, key=lambda one: one[1])]

    def _part(self, number: int, segment: int) -> EntryShare | None:
        units = self._units[number]
        if self._takes_turns[number]:
            residue = np.array([segment], dtype="<i4")
            share = TickShare(period=self._count, residues=residue.tobytes()) if self._count > 1 else None
            return EntryShare(share, units.series)
        if number in self._dealt:
            return units.part([units.span(unit) for unit in self._dealt[number].get(segment, ())])
        begin, rate = self._begins[number], self._rates[number]
        start, stop = (units.nearest((bound - begin) / rate) for bound in self._bounds[segment : segment + 2])
        return units.part([(start, stop)])


def _lacking(loads: Sequence[float], rate: float) -> list[float]:
    """Return what each segment is to get of `rate`, so that those with the least become equal."""
    ascending, level = sorted(loads), 0.0
    for filled, below in enumerate(accumulate(ascending), start=1):
        level = (below + rate) / filled
        if filled == len(loads) or level <= ascending[filled]:
            break
    return [max(level - load, 0.0) for load in loads]


@dataclass(frozen=True, slots=True)
class _Classes:
    """Residues that go together.

    Attributes:
        order: int64[period]: class by class.
        ends: int64[classes]: where each ends in `order`.
    """

    order: NDArray[np.int64]
    ends: NDArray[np.int64]


def _classes(rotating: Collection[Rotation], period: int) -> _Classes | None:
    """Return which residues have the same labels; None when no two have."""
    if not any(_repeats(label) for label in rotating):
        return None
    labels = np.zeros(period, dtype=np.int64)
    for label in rotating:
        values = label.values or range(label.choices)
        first = {value: index for index, value in reversed(list(enumerate(values)))}
        canonical = np.array([first[value] for value in values])
        _, labels = np.unique(labels * len(values) + np.resize(canonical, period), return_inverse=True)
    # The first residue of a class decides where it stands.
    places = np.empty(period, dtype=np.int64)
    places[_scattered(period)] = np.arange(period)
    _, firsts = np.unique(labels, return_index=True)
    keys = places[firsts][labels]
    order = np.argsort(keys, kind="stable")
    return _Classes(order, np.append(np.flatnonzero(np.diff(keys[order])) + 1, period))


@lru_cache(maxsize=4)
def _scattered(period: int) -> NDArray[np.int64]:
    """Return int64[period]: the residues in their scattered order."""
    return np.argsort(np.arange(period, dtype=np.uint64) * np.uint64(_SCATTER), kind="stable")


def _period(choices: Iterable[int]) -> int:
    """Return the least number of ticks in which all these repeat, or a divisor of it up to MOST_UNITS."""
    period = 1
    for count in choices:
        if lcm(period, count) <= MOST_UNITS:
            period = lcm(period, count)
        else:
            room = MOST_UNITS // period
            # A divisor of `count` beyond what the period has already.
            period *= _largest_divisor(count // gcd(period, count), room)
    return period


@lru_cache(maxsize=1024)
def _largest_divisor(number: int, limit: int) -> int:
    """Return the largest divisor of a number below 2^64 that is at most `limit`."""
    candidates = np.arange(1, limit + 1, dtype=np.uint64)
    return int(candidates[np.uint64(number) % candidates == 0][-1])


def _needs_all_ticks(plan: EntryPlan) -> bool:
    """Return whether events follow from the ticks before them, so that they are made in one place."""
    return isinstance(plan.generator, Histogram | Summary) or plan.encoder.looks_back


def _repeats(label: Rotation) -> bool:
    return label.values is not None and len(set(label.values)) < len(label.values)


def _entry_hash(plan: EntryPlan) -> bytes:
    """Return what decides about the order of entries, whatever their places in the body."""
    identity = (plan.id, plan.signal_type, plan.name, sorted(plan.labels.items()))
    return hashlib.blake2b(json.dumps(identity, ensure_ascii=True).encode(), digest_size=8).digest()
