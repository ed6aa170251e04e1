"""Generators: tick number to value, one kind a module, built through one table. Run in a worker; do no I/O.

A generator is a pure function of tick and configuration, so every run can be replayed and any split into batches
gives the same values.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Generator(Protocol):
    """Values of one entry."""

    def values(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]: the values of the ticks `first_tick`, `first_tick + 1`, …"""
        ...
