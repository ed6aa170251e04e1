"""`spike`: a baseline, raised for the first part of every interval."""

import math

import numpy as np
from numpy.typing import NDArray

from common.plan import ValueOrigin
from common.specs import Spike
from worker.generators.places import GeneratorChange, places, same_part
from worker.generators.tick_generator import TickGenerator


class SpikeGenerator(TickGenerator):
    """`high` for `duration_ticks` at the beginning of every `interval_ticks`, `low` otherwise; both may be fractions.

    Source: docs/scenarios.md, "Generators".
    """

    def __init__(
        self, low: float, high: float, duration_ticks: float, interval_ticks: float, origin: ValueOrigin
    ) -> None:
        self._low = low
        self._high = high
        self._duration_ticks = duration_ticks
        self._interval_ticks = interval_ticks
        self._origin = origin

    def at(self, ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return float64[n]."""
        with np.errstate(all="ignore"):
            place = np.fmod(places(self._origin, ticks), self._interval_ticks)
        return np.where(place < self._duration_ticks, self._high, self._low)


def build(spec: Spike, rate: float, origin: ValueOrigin) -> SpikeGenerator:
    """Return the generator of `spec` at `rate` events per second, `origin.place` ticks after an interval has begun."""
    return SpikeGenerator(spec.baseline, spec.baseline + spec.magnitude, *_cycle(spec, rate), origin)


def go_on(change: GeneratorChange[Spike]) -> ValueOrigin:
    """Return where an interval goes on: as high as it was, with the same share of that part passed."""
    before, after = _cycle(change.before, change.before_rate), _cycle(change.after, change.after_rate)
    if before == after:
        return change.origin
    return change.at(same_part(math.fmod(change.place, before[1]), before, after))


def _cycle(spec: Spike, rate: float) -> tuple[float, float]:
    """Return how many ticks the value is raised for, and how many an interval has."""
    return spec.duration_secs * rate, spec.interval_secs * rate
