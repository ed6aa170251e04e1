"""Sines of columns, with the very bits of the C library.

numpy promises no particular rounding of its own functions, and on some processors they differ from the C library's in
the last bit. So they are compared with `math` when this module is first imported (once, in the process that workers
are forked from), and where they differ the column is computed by `math`, at about 40 ns a value.

Source: generator contract, sections 1.5 and 1.6.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
Vector = Callable[[Column], Column]


def by_math(scalar: Callable[[float], float]) -> Vector:
    """Return a column function that calls `scalar` for every value."""

    def apply(arguments: Column) -> Column:
        return np.fromiter(map(scalar, arguments.tolist()), np.float64, len(arguments))

    return apply


def exact(vector: Vector, scalar: Callable[[float], float], trials: Column) -> Vector:
    """Return `vector` if it agrees with `scalar` on every trial, else `scalar` made a column function."""
    reference = by_math(scalar)
    return vector if np.array_equal(vector(trials), reference(trials)) else reference


def _sin(angle: float) -> float:
    return math.sin(angle) if math.isfinite(angle) else math.nan


def _angles() -> Column:
    units = np.random.default_rng(20231).random((2, 50_000))
    return np.concatenate((units[0] * 100.0 - 50.0, np.exp2(units[1] * 80.0 - 16.0)))


sin = exact(np.sin, _sin, _angles())
"""float64[n] to float64[n]; NaN for infinite angles."""
