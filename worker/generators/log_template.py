"""`template` logs: which severity and which pool values each event has, all hashes of seed, tick and name.

The choices of an event are int32[1 + pools]: its severity as an index into `SEVERITIES`, then for every field pool of
its template, in ascending order of names, the index of the value. Which template an event has follows from its tick:
`templates[tick mod count]`. A template with fewer pools than another leaves the rest at 0.

Source: docs/scenarios.md, "Logs".
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.mixing import mix, ticks, unit_closed
from common.plan import SEVERITIES
from common.specs import LogTemplate, Template

Hashes = NDArray[np.uint64]

_INFO: Final = SEVERITIES.index("info")


def pools_of(template: Template) -> list[tuple[str, tuple[str, ...]]]:
    """Return names and values of the field pools of `template` in the order of its choices."""
    return sorted(template.field_pools.items())


class LogTemplateGenerator:
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

    def values(self, first_tick: int, count: int) -> NDArray[np.int32]:
        """Return int32[count, 1 + pools]."""
        choices = np.zeros((self._width, count), dtype=np.int32)
        base = mix(ticks(first_tick, count) ^ self._seed)
        choices[0] = self._severities(base)
        templates = len(self._pools)
        shared: dict[bytes, Hashes] = {}
        for start in range(min(templates, count)):
            every = slice(start, None, templates)
            for row, (name, size) in enumerate(self._pools[(first_tick + start) % templates], start=1):
                if name in self._shared_names:
                    if name not in shared:
                        shared[name] = _fold(base, name)
                    hashes = shared[name][every]
                else:
                    hashes = _fold(base[every], name)
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
            targets = unit_closed(_fold(base, b"severity")) * total
        levels = np.full(len(base), cumulative[-1][0], dtype=np.int32)
        for level, bound in reversed(cumulative[:-1]):
            levels[targets < bound] = level
        return levels


def _severity_weights(weights: dict[str, float]) -> list[tuple[int, float]]:
    """Return pairs of severity and weight, ascending; two spellings of one severity stay in their order."""
    levels = {"warning": SEVERITIES.index("warn")} | {severity: level for level, severity in enumerate(SEVERITIES)}
    return sorted(((levels[key.lower()], weight) for key, weight in weights.items()), key=lambda pair: pair[0])


def _fold(base: Hashes, name: Iterable[int]) -> Hashes:
    for byte in name:
        base = mix(base ^ np.uint64(byte))
    return base


def build(spec: LogTemplate, _rate: float) -> LogTemplateGenerator:
    """Return the generator of `spec`; the rate plays no part."""
    return LogTemplateGenerator(spec)
