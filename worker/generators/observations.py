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
from common.plan import Histogram, Summary, ValueOrigin
from common.specs import Exponential, Normal
from worker.generators.libm import Vector, cos, log
from worker.generators.places import GeneratorChange
from worker.long_work import Interrupted

_SEED_FACTOR: Final = 0x517CC1B727220A95
_TICK_FACTOR: Final = 0x6C62272E07BB0142
_EPSILON: Final = 2.0**-52
_MASK: Final = 2**64 - 1
_SLICE_DRAWS: Final = 16_384
"""PERF: how many draws are made at a time; the columns of one slice stay in the processor's cache."""

_START: Final = ValueOrigin()


class Slice(NamedTuple):
    """Draws of some ticks: all of each, or, when one tick has more than fit a slice, a part of that one.

    Attributes:
        start, stop: which of the ticks asked for.
        draws: float64[places, stop - start]: a column a tick, from its first observation down.
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
        origin: its place is what is added to every observation of its tick; the shift goes on from there.

    Attributes:
        observed_ticks: how many ticks were observed.
    """

    def __init__(
        self, spec: Histogram | Summary, rate: float, interrupted: Callable[[], bool], origin: ValueOrigin = _START
    ) -> None:
        self._spec = spec
        self._rate = rate
        self._origin = origin
        self._interrupted = interrupted
        self.observed_ticks = 0
        self._places = np.arange(min(spec.observations_per_tick, _SLICE_DRAWS) + 1, dtype=np.uint64)

    def slices(self, first_tick: int, count: int) -> Iterator[Slice]:
        """Yield the observations of the next `count` ticks, whose numbers begin with `first_tick`.

        Raises:
            Interrupted: there will be no further ticks.
        """
        per_tick = self._spec.observations_per_tick
        observed = ticks((self._spec.seed * _SEED_FACTOR + self.observed_ticks) & _MASK, count)
        shifts = self._shifts(first_tick, count)
        self.observed_ticks += count
        step = max(_SLICE_DRAWS // per_tick, 1)
        numbers = np.add.outer(self._places, observed[:step] * np.uint64(_TICK_FACTOR))
        for start in range(0, count, step):
            stop = min(start + step, count)
            for place in range(0, per_tick, _SLICE_DRAWS):
                if self._interrupted():
                    raise Interrupted
                places = min(per_tick - place, _SLICE_DRAWS) + 1
                hashes = mix(numbers[:places, : stop - start], start * _TICK_FACTOR + place)
                yield Slice(start, stop, self._draws(hashes, shifts[start:stop]))

    def _shifts(self, first_tick: int, count: int) -> NDArray[np.float64]:
        """Return float64[count]: what is added to the observations of each tick."""
        shift = self._spec.mean_shift_per_sec
        seconds = ticks(first_tick - self._origin.tick, count).astype(np.float64) / self._rate
        shifts = shift * seconds
        if self._origin.place:
            shifts += self._origin.place
        # PERF: numpy adds one number to a whole slice in a quarter of the time of one number for each tick.
        return shifts if shift else np.ndarray(count, buffer=shifts, strides=(0,))

    def _draws(self, hashes: NDArray[np.uint64], shifts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return float64[places, ticks] from the hashes of these places and the next one, and from a shift a tick."""
        draws = unit_half_open(hashes[:-1])
        match self._spec.distribution:
            case Exponential(rate=rate):
                np.minimum(draws, 1.0 - _EPSILON, out=draws)
                draws = _of_all(log, np.subtract(1.0, draws, out=draws))
                draws /= -rate
            case Normal(mean=mean, stddev=stddev):
                angles = unit_half_open(mix(hashes[1:]), 2.0 * math.pi)
                draws = _of_all(log, np.maximum(draws, _EPSILON, out=draws))
                draws *= -2.0
                np.sqrt(draws, out=draws)
                draws *= _of_all(cos, angles)
                draws *= stddev
                shifts = mean + shifts
            case uniform:
                draws *= uniform.max - uniform.min
                draws += uniform.min
        draws += shifts
        return draws


def _of_all(function: Vector, arguments: NDArray[np.float64]) -> NDArray[np.float64]:
    return function(arguments.ravel()).reshape(arguments.shape)


def go_on(change: GeneratorChange[Histogram] | GeneratorChange[Summary]) -> ValueOrigin:
    """Return where the shift goes on: at what it has reached."""
    before, after = change.before.mean_shift_per_sec, change.after.mean_shift_per_sec
    if (before, change.before_rate) == (after, change.after_rate):
        return change.origin
    return change.at(change.origin.place + before * ((change.tick - change.origin.tick) / change.before_rate))
