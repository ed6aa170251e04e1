"""`step`: a value that grows by the same step at every tick, with or without wrapping at a maximum."""

import numpy as np
from numpy.typing import NDArray

from common.plan import ValueOrigin
from common.specs import Step
from worker.generators.places import GeneratorChange, since
from worker.generators.tick_generator import TickGenerator


class StepGenerator(TickGenerator):
    """`start + t * step_size`, wrapped into [start, max) when max lies above start.

    Multiplied, never accumulated. `origin.place` is what the first tick is above `start`. Source: docs/scenarios.md,
    "Generators".

    Attributes:
        width: how far it counts above `start` before it wraps; None when it never does.
    """

    def __init__(self, step_size: float, start: float, maximum: float | None, origin: ValueOrigin) -> None:
        self._step_size = step_size
        self._start = start
        self.width = maximum - start if maximum is not None and maximum > start else None
        self._origin = origin

    def at(self, ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return float64[n]."""
        with np.errstate(all="ignore"):
            values = self.counted(ticks)
            values += self._start
        return values

    def counted(self, ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return float64[n]: how far above `start` the values are."""
        values = since(self._origin.tick, ticks).astype(np.float64)
        values *= self._step_size
        if self._origin.place:
            values += self._origin.place
        if self.width is not None:
            np.fmod(values, self.width, out=values)
            if self._step_size < 0:
                values[values < 0] += self.width
        return values


def build(spec: Step, _rate: float, origin: ValueOrigin) -> StepGenerator:
    """Return the generator of `spec`; the rate plays no part."""
    return StepGenerator(spec.step_size, spec.start, spec.max, origin)


def go_on(change: GeneratorChange[Step]) -> ValueOrigin:
    """Return where it goes on: at the value that would have been next; at its start where the new wrap leaves no room.

    What has grown beyond all numbers begins at its start, too.
    """
    before, after = change.before, change.after
    if before == after:
        return change.origin
    with np.errstate(all="ignore"):
        ticks = np.array([change.tick], dtype=np.uint64)
        counted = build(before, change.before_rate, change.origin).counted(ticks).item()
    place = counted if before.start == after.start else counted + before.start - after.start
    width = build(after, change.after_rate, change.origin).width
    return change.at(place if width is None or 0 <= place < width else 0.0)
