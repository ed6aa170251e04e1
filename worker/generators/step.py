"""`step`: a value that grows by the same step at every tick, with or without wrapping at a maximum."""

import numpy as np
from numpy.typing import NDArray

from common.mixing import ticks
from common.specs import Step


class StepGenerator:
    """`start + t * step_size`, wrapped into [start, max) when max lies above start.

    Multiplied, never accumulated. Source: docs/scenarios.md, "Generators".
    """

    def __init__(self, step_size: float, start: float, maximum: float | None) -> None:
        self._step_size = step_size
        self._start = start
        self._width = maximum - start if maximum is not None and maximum > start else None

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]."""
        values = ticks(first_tick, count).astype(np.float64)
        with np.errstate(all="ignore"):
            values *= self._step_size
            if self._width is not None:
                np.fmod(values, self._width, out=values)
                if self._step_size < 0:
                    values[values < 0] += self._width
            values += self._start
        return values


def build(spec: Step, _rate: float) -> StepGenerator:
    """Return the generator of `spec`; the rate plays no part."""
    return StepGenerator(spec.step_size, spec.start, spec.max)
