"""Sine, cosine and logarithm of columns, with the very bits of the C library.

numpy promises no particular rounding of its own functions, and on some processors they differ from the C library's in
the last bit. So they are compared with `math` when this module is first imported (once, in the process that workers
are forked from), and where they differ the column is computed by `math`, at about 40 ns per value.

Source: docs/values.md, "Exactness".
"""

import math
from collections.abc import Callable

import numpy as np

from common.numbers import Column

Vector = Callable[[Column], Column]

_TRIALS = 10_000
"""Enough for a function that rounds otherwise in one of a thousand results: the odds of missing it are e to the -10."""


def by_math(scalar: Callable[[float], float]) -> Vector:
    """Return a column function that calls `scalar` for every value."""

    def apply(arguments: Column) -> Column:
        return np.fromiter(map(scalar, arguments.tolist()), np.float64, len(arguments))

    return apply


def exact(
    vector: Vector, scalar: Callable[[float], float], trials: Column, whole: Callable[[float], float] | None = None
) -> Vector:
    """Return `vector` if it agrees with `scalar` on every trial, else a column function of `math`.

    Args:
        vector: the column function to be judged.
        scalar: the function of `math`; called for every trial at the start of a run, so best written in C.
        trials: arguments that `scalar` takes.
        whole: the same for every argument, where `scalar` does not take all.
    """
    return vector if np.array_equal(vector(trials), by_math(scalar)(trials)) else by_math(whole or scalar)


def _sin(angle: float) -> float:
    return math.sin(angle) if math.isfinite(angle) else math.nan


_units = np.random.default_rng(20231).random(_TRIALS)
_scales = np.exp2(np.linspace(-60.0, 0.0, _TRIALS))

sin = exact(np.sin, math.sin, np.concatenate((_units * 100.0 - 50.0, _units / _scales)), _sin)
"""Sines of angles of any size; NaN for infinite ones."""

cos = exact(np.cos, math.cos, _units * (2.0 * math.pi))
"""Cosines of angles in [0, 2*pi]."""

log = exact(np.log, math.log, np.concatenate((1.0 - _units, (1.0 - _units) * _scales)))
"""Natural logarithms of numbers in (0, 1]."""
