"""What generators share whose values follow from the tick number alone: any ticks may be asked for, in any order."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.mixing import ticks


class TickGenerator(ABC):
    """Values of ticks that need not be consecutive."""

    @abstractmethod
    def at(self, ticks: NDArray[np.uint64]) -> NDArray[Any]:
        """Return a row for each tick."""

    def values(self, first_tick: int, count: int) -> NDArray[Any]:
        """Return a row for each of `count` consecutive ticks from `first_tick` on; the array may be read-only."""
        return self.at(ticks(first_tick, count))
