"""The choice between numpy's functions and the C library's."""

import math
import runpy
import sys
from types import FrameType

import numpy as np

from worker.generators import libm

TRIALS = np.linspace(0.1, 5.0, 100)


def test_a_vector_function_that_agrees_is_taken() -> None:
    """numpy's own function serves when it has the C library's bits."""
    assert libm.exact(np.sqrt, math.sqrt, TRIALS) is np.sqrt


def test_a_vector_function_that_differs_in_one_bit_is_replaced() -> None:
    """One deviating result is enough to fall back to the C library."""

    def deviating(arguments: libm.Column) -> libm.Column:
        results = np.sqrt(arguments)
        results[7] = np.nextafter(results[7], 9.0)
        return results

    chosen = libm.exact(deviating, math.sqrt, TRIALS)
    assert chosen is not deviating
    assert chosen(TRIALS).tolist() == [math.sqrt(value) for value in TRIALS]


def test_sine_equals_the_c_library_and_takes_infinities() -> None:
    """Sines have the bits of `math.sin`; an infinite angle is NaN, not an error."""
    angles = np.random.default_rng().random(1000) * 1e6
    assert libm.sin(angles).tolist() == [math.sin(angle) for angle in angles]
    with np.errstate(all="ignore"):
        assert np.isnan(libm.sin(np.array([math.inf, -math.inf, math.nan]))).all()


def test_the_fallback_takes_infinities_too() -> None:
    """The C library's sine raises for infinities; the fallback gives NaN."""
    assert np.isnan(libm.by_math(libm._sin)(np.array([math.inf, math.nan]))).all()


def test_comparing_calls_no_python_function_for_each_trial() -> None:
    """It is done at the start of every run: hundreds of thousands of calls of Python would be felt."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        runpy.run_path(libm.__file__)
    finally:
        sys.setprofile(before)
    assert calls < libm._TRIALS / 10
