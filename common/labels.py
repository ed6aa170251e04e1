"""Labels of a tick: a pure function of the plan, the tick number and the label spikes active at it.

Label text is never stored: the encoder in the worker and the scrape in the supervisor both compute it from here.

Source: docs/values.md, "Labels"; docs/formats.md.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from common.mixing import mix_number
from common.plan import EntryPlan, LabelSpike, RotatingLabel

Labels = tuple[tuple[str, str], ...]
"""Key and value pairs in ascending key order."""

_MAX_LAYOUTS: Final = 64
"""Sets of active spikes remembered at a time; more are possible, but few are ever active in turn."""


class Rotation:
    """The values of one rotating label.

    Attributes:
        cardinality: how many values there are; tick k has the value of index k mod cardinality.
        prefix: what every value begins with.
        values: the values themselves, or None when they are computed.
        random_seed: the seed of 16 hex digits behind the prefix, or None for the decimal index.
    """

    __slots__ = ("cardinality", "prefix", "random_seed", "values")

    def __init__(self, label: RotatingLabel | LabelSpike) -> None:
        self.cardinality = label.cardinality
        self.prefix = label.prefix
        self.values = label.values if isinstance(label, RotatingLabel) else None
        self.random_seed = label.seed if isinstance(label, LabelSpike) and label.strategy == "random" else None

    def value(self, index: int) -> str:
        """Return the value of `index`, which is below the cardinality."""
        if self.values is not None:
            return self.values[index]
        if self.random_seed is not None:
            return f"{self.prefix}{mix_number(self.random_seed ^ index):016x}"
        return f"{self.prefix}{index}"


Layout = tuple[tuple[str, str | Rotation], ...]
"""Keys in ascending order, each with its fixed text or its rotation."""


class LabelSpace:
    """Every label set one entry can have.

    Args:
        static: labels of every tick.
        rotating: labels that rotate with the tick; they replace static ones of the same key, and earlier ones.
        spikes: labels that are there while their spike is active; they replace all others of the same key.
    """

    def __init__(
        self, static: Mapping[str, str], rotating: Iterable[RotatingLabel] = (), spikes: Iterable[LabelSpike] = ()
    ) -> None:
        self._always: dict[str, str | Rotation] = dict(static)
        self._always.update((label.key, Rotation(label)) for label in rotating)
        self._spikes = tuple((spike.key, Rotation(spike)) for spike in spikes)
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

    def at(self, tick: int, spike_mask: int = 0) -> Labels:
        """Return the labels of `tick` while exactly the spikes of `spike_mask` are active."""
        return tuple(
            (key, value if isinstance(value, str) else value.value(tick % value.cardinality))
            for key, value in self.layout(spike_mask)
        )


def label_space(plan: EntryPlan) -> LabelSpace:
    """Return the label space of `plan`."""
    return LabelSpace(plan.labels, plan.dynamic_labels, plan.cardinality_spikes)
