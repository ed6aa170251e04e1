"""Which ticks of an entry a segment fires, and their own numbers.

Everything behind the schedule counts the ticks of a segment 0, 1, 2, … in their order: batches, checkpoints, places on
the board. The schedule and the generators translate such a number into that of the tick, which values and instants
follow from, and labels are looked up through it. Source: docs/values.md, "Segments".
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from common.plan import EntryPlan, TickShare

_RUN: Final = 1024
"""How many numbers at a time are looked up in one slice."""


class OwnTicks:
    """The ticks k of an entry with `k mod period` among some residues.

    Args:
        share: period and residues.

    Attributes:
        period: ticks that are this far apart are both there or both not.
        per_period: how many there are in a period.
    """

    __slots__ = ("_residues", "_run", "per_period", "period")

    def __init__(self, share: TickShare) -> None:
        self.period = share.period
        self._residues = np.frombuffer(share.residues, dtype="<i4").astype(np.int64)
        self.per_period = count = len(self._residues)
        laps = np.arange(-(-_RUN // count) + 1, dtype=np.int64) * self.period
        self._run = (laps[:, np.newaxis] + self._residues).ravel()

    def tick(self, number: int) -> int:
        """Return the tick of a number."""
        lap, place = divmod(number, self.per_period)
        return lap * self.period + int(self._residues[place])

    def ticks(self, number: int, count: int) -> NDArray[np.int64]:
        """Return int64[count]: the ticks of consecutive numbers."""
        lap, place = divmod(number, self.per_period)
        if place + count <= len(self._run):
            run: NDArray[np.int64] = self._run[place : place + count] + lap * self.period
            return run
        laps, places = np.divmod(np.arange(place, place + count), self.per_period)
        ticks: NDArray[np.int64] = self._residues[places] + (laps + lap) * self.period
        return ticks

    def number(self, tick: int) -> int:
        """Return the number of the first of them at or behind `tick`."""
        lap, residue = divmod(tick, self.period)
        return lap * self.per_period + int(np.searchsorted(self._residues, residue))


@lru_cache(maxsize=32)
def _of_share(share: TickShare) -> OwnTicks:
    return OwnTicks(share)


def own_ticks(plan: EntryPlan) -> OwnTicks | None:
    """Return the ticks that `plan` fires; None when it fires all."""
    return None if plan.share is None else _of_share(plan.share)
