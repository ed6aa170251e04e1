"""Sine, cosine and logarithm of columns, with the very bits of the C library.

numpy promises no particular rounding of its own functions, and on some processors they differ from the C library's in
the last bit. So they are compared with `math` when this module is first imported (once, in the process that workers
are forked from), and where they differ the column is computed by `math`, at about 40 ns per value.

Source: docs/values.md, "Exactness".
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
Vector = Callable[[Column], Column]

_TRIALS = 50_000


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


_units = np.random.default_rng(20231).random(_TRIALS)
_scales = np.exp2(np.linspace(-60.0, 0.0, _TRIALS))

sin = exact(np.sin, _sin, np.concatenate((_units * 100.0 - 50.0, _units / _scales)))
"""Sines of angles of any size; NaN for infinite ones."""

cos = exact(np.cos, math.cos, _units * (2.0 * math.pi))
"""Cosines of angles in [0, 2*pi]."""

log = exact(np.log, math.log, np.concatenate((1.0 - _units, (1.0 - _units) * _scales)))
"""Natural logarithms of numbers in (0, 1]."""
