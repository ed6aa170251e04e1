"""`flap`: up for some ticks, down for some ticks, in turn."""

import math

import numpy as np
from numpy.typing import NDArray

from common.plan import ValueOrigin
from common.specs import Flap
from worker.generators.places import GeneratorChange, same_part
from worker.generators.tick_generator import TickGenerator


class FlapGenerator(TickGenerator):
    """`up` for the first `up_ticks` of every `up_ticks + down_ticks`, `down` for the rest.

    Source: docs/scenarios.md, "Generators".
    """

    def __init__(self, up: float, down: float, up_ticks: int, down_ticks: int, origin: ValueOrigin) -> None:
        self._up = up
        self._down = down
        self._up_ticks = np.uint64(up_ticks)
        self._cycle_ticks = np.uint64(up_ticks + down_ticks)
        self._shift = np.uint64((int(origin.place) - origin.tick) % (up_ticks + down_ticks))

    def at(self, ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return float64[n]."""
        place = (ticks + self._shift if self._shift else ticks) % self._cycle_ticks
        return np.where(place < self._up_ticks, self._up, self._down)


def build(spec: Flap, rate: float, origin: ValueOrigin) -> FlapGenerator:
    """Return the generator of `spec` at `rate` events per second, `origin.place` whole ticks after it went up."""
    return FlapGenerator(*spec.levels, *spec.ticks(rate), origin)


def go_on(change: GeneratorChange[Flap]) -> ValueOrigin:
    """Return where it goes on: up or down as it was, with the same share of that passed, in whole ticks."""
    before, after = change.before.ticks(change.before_rate), change.after.ticks(change.after_rate)
    if before == after:
        return change.origin
    place = (change.tick - change.origin.tick + int(change.origin.place)) % sum(before)
    return change.at(math.floor(same_part(place, (before[0], sum(before)), (after[0], sum(after)))))
