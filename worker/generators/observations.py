"""Observations of a histogram or a summary: what its ticks measure, drawn from a distribution.

A draw is a hash of the seed, of how many ticks were observed before, and of the place within the tick. That number is
not the tick number, which jumps over silences; so the ticks must be asked for in order, each once.

Source: docs/values.md, "Observations".
"""

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.mixing import mix, ticks, unit_half_open
from common.plan import Histogram, Summary
from common.specs import Exponential, Normal
from worker.generators.libm import cos, log

_SEED_FACTOR: Final = 0x517CC1B727220A95
_TICK_FACTOR: Final = np.uint64(0x6C62272E07BB0142)
_EPSILON: Final = 2.0**-52
_MASK: Final = 2**64 - 1
_SLICE_DRAWS: Final = 16_384
"""PERF: how many draws are made at a time; the columns of one slice stay in the processor's cache."""


class Interrupted(Exception):  # noqa: N818 - nothing has gone wrong
    """The scenario is stopping, and what was drawn of a tick is given up."""


class Slice(NamedTuple):
    """Draws of some ticks: all of each, or, when one tick has more than fit a slice, a part of that one.

    Attributes:
        start, stop: which of the ticks asked for.
        draws: float64[stop - start, places], in order.
    """

    start: int
    stop: int
    draws: NDArray[np.float64]


class Observations:
    """The observations of one entry.

    Args:
        spec: distribution, observations per tick, shift and seed.
        rate: ticks per second, which turns tick numbers into seconds for the shift.
        interrupted: asked before every slice: a tick may have billions of observations.
    """

    def __init__(self, spec: Histogram | Summary, rate: float, interrupted: Callable[[], bool]) -> None:
        self._spec = spec
        self._rate = rate
        self._interrupted = interrupted
        self._observed_ticks = 0
        self._places = np.arange(min(spec.observations_per_tick, _SLICE_DRAWS), dtype=np.uint64)

    def slices(self, first_tick: int, count: int) -> Iterator[Slice]:
        """Yield the observations of the next `count` ticks, whose numbers begin with `first_tick`.

        Raises:
            Interrupted: there will be no further ticks.
        """
        per_tick = self._spec.observations_per_tick
        observed = ticks((self._spec.seed * _SEED_FACTOR + self._observed_ticks) & _MASK, count)
        bases = observed * _TICK_FACTOR
        shifts = self._spec.mean_shift_per_sec * (ticks(first_tick, count).astype(np.float64) / self._rate)
        self._observed_ticks += count
        step = max(_SLICE_DRAWS // per_tick, 1)
        for start in range(0, count, step):
            stop = min(start + step, count)
            for place in range(0, per_tick, _SLICE_DRAWS):
                if self._interrupted():
                    raise Interrupted
                places = self._places[: per_tick - place] + np.uint64(place)
                inputs = np.add.outer(bases[start:stop], places).ravel()
                draws = self._draws(inputs, np.repeat(shifts[start:stop], len(places)))
                yield Slice(start, stop, draws.reshape(stop - start, len(places)))

    def _draws(self, inputs: NDArray[np.uint64], shifts: NDArray[np.float64]) -> NDArray[np.float64]:
        units = unit_half_open(mix(inputs))
        match self._spec.distribution:
            case Exponential(rate=rate):
                return -log(1.0 - np.minimum(units, 1.0 - _EPSILON)) / rate + shifts
            case Normal(mean=mean, stddev=stddev):
                angles = unit_half_open(mix(mix(inputs + np.uint64(1)))) * (2.0 * math.pi)
                deviates = np.sqrt(-2.0 * log(np.maximum(units, _EPSILON))) * cos(angles)
                return (mean + shifts) + stddev * deviates
            case uniform:
                return (uniform.min + units * (uniform.max - uniform.min)) + shifts
