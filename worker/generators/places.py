"""How far from its start a tick finds a generator, also one that was changed while it ran.

A generator that repeats something keeps its angle: what part of a period has passed stays, whatever becomes of the
period. Source: docs/values.md, "Changes".
"""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from common.plan import ValueOrigin

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class GeneratorChange(Generic[S]):
    """A change of one generator.

    Attributes:
        before: what the plan held.
        before_rate: ticks per second until then.
        origin: where those values went on.
        after: what the plan holds from then on.
        after_rate: ticks per second from then on.
        tick: the number of the first tick of the new values.
    """

    before: S
    before_rate: float
    origin: ValueOrigin
    after: S
    after_rate: float
    tick: int

    @property
    def place(self) -> float:
        """How many ticks from its start the generator was."""
        return float(self.tick - self.origin.tick) + self.origin.place

    def at(self, place: float) -> ValueOrigin:
        """Return where the new values go on; at their start where nobody can say."""
        return ValueOrigin(self.tick, place if math.isfinite(place) else 0.0)


def places(origin: ValueOrigin, ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return float64[n]: how many ticks from the start of the generator `ticks` are."""
    found = since(origin.tick, ticks).astype(np.float64)
    if origin.place:
        found += origin.place
    return found


def since(tick: int, ticks: NDArray[np.uint64]) -> NDArray[np.uint64] | NDArray[np.int64]:
    """Return how many ticks behind `tick` each of `ticks` is; one that is before it, with a minus."""
    return (ticks - np.uint64(tick)).view(np.int64) if tick else ticks


def same_angle(place: float, before: float, after: float) -> float:
    """Return the place in a period of `after` ticks that has the angle of `place` in one of `before`."""
    if not before:
        return 0.0
    return math.fmod(place, before) / before * after


def same_part(place: float, before: tuple[float, float], after: tuple[float, float]) -> float:
    """Return the place in a cycle of two parts that is in the same part as `place`, with the same share of it passed.

    Args:
        place: in ticks, below the whole cycle of before.
        before: the length of the first part, and of the whole cycle.
        after: the same from then on.
    """
    (first, whole), (new_first, new_whole) = before, after
    if place < first:
        return place / first * new_first
    return new_first + (place - first) / (whole - first) * max(new_whole - new_first, 0.0)
