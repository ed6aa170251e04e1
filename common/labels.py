"""Labels of a tick: a pure function of the plan, the tick number and the label spikes active at it.

Label text is never stored: the encoder in the worker and the scrape in the supervisor both compute it from here.

Source: docs/values.md, "Labels"; docs/formats.md.
"""

from collections.abc import Iterable, Mapping
from math import gcd, lcm
from typing import Final

import numpy as np

from common.mixing import mix_number
from common.own_ticks import OwnTicks, own_ticks
from common.plan import EntryPlan, LabelSpike, RotatingLabel

Labels = tuple[tuple[str, str], ...]
"""Key and value pairs in ascending key order."""

_MAX_LAYOUTS: Final = 64
"""Sets of active spikes remembered at a time; more are possible, but few are ever active in turn."""


class Rotation:
    """The values of one rotating label.

    Args:
        label: the label.
        own: the ticks that are numbered; None for all.

    Attributes:
        cardinality: the value of number k is that of number k mod cardinality.
        choices: how many values there are.
        prefix: what every value begins with.
        values: the values themselves, or None when they are computed.
        random_seed: the seed of 16 hex digits behind the prefix, or None for the decimal index.
    """

    __slots__ = ("_own", "cardinality", "choices", "prefix", "random_seed", "values")

    def __init__(self, label: RotatingLabel | LabelSpike, own: OwnTicks | None = None) -> None:
        self._own = own
        self.cardinality = self.choices = label.cardinality
        if own is not None:
            self.cardinality = own.per_period * (self.choices // gcd(self.choices, own.period))
        self.prefix = label.prefix
        self.values = label.values if isinstance(label, RotatingLabel) else None
        self.random_seed = label.seed if isinstance(label, LabelSpike) and label.strategy == "random" else None

    def value(self, number: int) -> str:
        """Return the value of `number`, which is below the cardinality."""
        return self.choice(number if self._own is None else self._own.tick(number) % self.choices)

    def indexes(self, number: int, count: int) -> list[int]:
        """Return which of the choices consecutive numbers have."""
        if self._own is not None:
            ticks = self._own.ticks(number % self.cardinality, count).astype(np.uint64)
            indexes: list[int] = (ticks % np.uint64(self.choices)).tolist()
            return indexes
        start = number % self.choices
        if start + count <= self.choices:
            return list(range(start, start + count))
        return [(start + k) % self.choices for k in range(count)]

    def choice(self, index: int) -> str:
        """Return one of the values, by its index below `choices`."""
        if self.values is not None:
            return self.values[index]
        if self.random_seed is not None:
            return f"{self.prefix}{mix_number(self.random_seed ^ index):016x}"
        return f"{self.prefix}{index}"

    def longest(self) -> int:
        """Return how many bytes a value has at most."""
        if self.values is not None:
            return max(len(value.encode()) for value in self.values)
        return len(self.prefix.encode()) + (16 if self.random_seed is not None else len(str(self.choices)))


Layout = tuple[tuple[str, str | Rotation], ...]
"""Keys in ascending order, each with its fixed text or its rotation."""


class LabelSpace:
    """Every label set one entry can have.

    Args:
        static: labels of every tick.
        rotating: labels that rotate with the tick; they replace static ones of the same key, and earlier ones.
        spikes: labels that are there while their spike is active; they replace all others of the same key.
        own: the ticks that are numbered; None for all.
    """

    def __init__(
        self,
        static: Mapping[str, str],
        rotating: Iterable[RotatingLabel] = (),
        spikes: Iterable[LabelSpike] = (),
        own: OwnTicks | None = None,
    ) -> None:
        self._always: dict[str, str | Rotation] = dict(static)
        self._always.update((label.key, Rotation(label, own)) for label in rotating)
        self._spikes = tuple((spike.key, Rotation(spike, own)) for spike in spikes)
        self._layouts: dict[int, Layout] = {}

    def layout(self, spike_mask: int) -> Layout:
        """Return what each label is made of while exactly the spikes of `spike_mask` are active."""
        layout = self._layouts.get(spike_mask)
        if layout is None:
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            merged = dict(self._always)
            merged.update(spike for bit, spike in enumerate(self._spikes) if spike_mask >> bit & 1)
            layout = self._layouts[spike_mask] = tuple(sorted(merged.items(), key=lambda item: item[0]))
        return layout

    @property
    def recurs_after(self) -> int:
        """After how many numbers all labels recur, whichever spikes are active."""
        values = (*self._always.values(), *(value for _, value in self._spikes))
        return lcm(*(value.cardinality for value in values if isinstance(value, Rotation)))

    def at(self, number: int, spike_mask: int = 0) -> Labels:
        """Return the labels of the tick of `number` while exactly the spikes of `spike_mask` are active."""
        return tuple(
            (key, value if isinstance(value, str) else value.value(number % value.cardinality))
            for key, value in self.layout(spike_mask)
        )

    def longest(self, spike_mask: int = 0) -> int:
        """Return how many bytes a label set of `at` has at most, each label as `key="value",` without escapes."""
        return sum(
            len(key) + 4 + (len(value.encode()) if isinstance(value, str) else value.longest())
            for key, value in self.layout(spike_mask)
        )


def label_space(plan: EntryPlan) -> LabelSpace:
    """Return the label space of `plan`."""
    return LabelSpace(plan.labels, plan.dynamic_labels, plan.cardinality_spikes, own_ticks(plan))
