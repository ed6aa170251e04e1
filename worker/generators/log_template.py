"""`template` logs: which severity and which pool values each event has, all hashes of seed, tick and name.

The choices of an event are int32[1 + pools]: its severity as an index into `SEVERITIES`, then for every field pool of
its template, in ascending order of names, the index of the value. Which template an event has follows from its tick:
`templates[tick mod count]`. A template with fewer pools than another leaves the rest at 0.

Source: docs/scenarios.md, "Logs".
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.mixing import fold, mix, ticks, unit_closed
from common.plan import SEVERITIES, ValueOrigin
from common.specs import LogTemplate, Template
from worker.generators.tick_generator import TickGenerator

Hashes = NDArray[np.uint64]

_INFO: Final = SEVERITIES.index("info")


def pools_of(template: Template) -> list[tuple[str, tuple[str, ...]]]:
    """Return names and values of the field pools of `template` in the order of its choices."""
    return sorted(template.field_pools.items())


class LogTemplateGenerator(TickGenerator):
    """Choices of the events of one entry."""

    def __init__(self, spec: LogTemplate) -> None:
        self._seed = np.uint64(spec.seed)
        self._weights = _severity_weights(spec.severity_weights or {})
        self._pools = [
            [(name.encode(), np.uint64(max(len(values), 1))) for name, values in pools_of(template)]
            for template in spec.templates
        ]
        self._width = 1 + max((len(pools) for pools in self._pools), default=0)
        uses = Counter(name for pools in self._pools for name, _ in pools)
        self._shared_names = {name for name, templates in uses.items() if templates > 1}

    def at(self, ticks: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Return int32[n, 1 + pools]."""
        templates = ticks % np.uint64(max(len(self._pools), 1))
        places = {number: np.flatnonzero(templates == number) for number in np.unique(templates).tolist()}
        return self._choices(ticks, places)

    def values(self, first_tick: int, count: int) -> NDArray[np.int32]:
        """Return int32[count, 1 + pools]."""
        templates = len(self._pools)
        places = {
            (first_tick + start) % templates: slice(start, None, templates) for start in range(min(templates, count))
        }
        return self._choices(ticks(first_tick, count), places)

    def _choices(self, ticks: Hashes, places: Mapping[int, slice | NDArray[np.int64]]) -> NDArray[np.int32]:
        """Return the choices of ticks, of which those at some places have each template."""
        choices = np.zeros((self._width, len(ticks)), dtype=np.int32)
        base = mix(ticks ^ self._seed)
        choices[0] = self._severities(base)
        shared: dict[bytes, Hashes] = {}
        for template, every in places.items():
            for row, (name, size) in enumerate(self._pools[template] if self._pools else (), start=1):
                if name in self._shared_names:
                    if name not in shared:
                        shared[name] = fold(base, name)
                    hashes = shared[name][every]
                else:
                    hashes = fold(base[every], name)
                choices[row, every] = hashes % size
        return choices.T

    def _severities(self, base: Hashes) -> NDArray[np.int32] | int:
        if not self._weights or not self._pools:
            return _INFO
        total = 0.0
        cumulative = []
        for level, weight in self._weights:
            total += weight
            cumulative.append((level, total))
        with np.errstate(all="ignore"):
            targets = unit_closed(fold(base, b"severity")) * total
        levels = np.full(len(base), cumulative[-1][0], dtype=np.int32)
        for level, bound in reversed(cumulative[:-1]):
            levels[targets < bound] = level
        return levels


def _severity_weights(weights: dict[str, float]) -> list[tuple[int, float]]:
    """Return pairs of severity and weight, ascending; two spellings of one severity stay in their order."""
    levels = {"warning": SEVERITIES.index("warn")} | {severity: level for level, severity in enumerate(SEVERITIES)}
    return sorted(((levels[key.lower()], weight) for key, weight in weights.items()), key=lambda pair: pair[0])


def build(spec: LogTemplate, _rate: float, _origin: ValueOrigin) -> LogTemplateGenerator:
    """Return the generator of `spec`; nothing else plays a part."""
    return LogTemplateGenerator(spec)
