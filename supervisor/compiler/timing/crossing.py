"""When a generator first crosses a threshold, in seconds after its start. Source: docs/scenarios.md, "After".

Everything is float64 in a fixed order: the rounding of a step size decides which tick crosses, and is not to be
corrected. Aliases count with the durations they are written with, not with whole ticks.
"""

import math
from typing import Final

from common.errors import DecodeError, DurationError
from common.specs import Constant, Flap, Sawtooth, Sequence, Sine, Spike, Step, Uniform, kind_of
from common.units import clip, duration_secs, number_text
from supervisor.compiler.language.blocks import After
from supervisor.compiler.language.kinds import (
    CsvReplay,
    Degradation,
    Leak,
    Saturation,
    SpikeEvent,
    Steady,
    WrittenGenerator,
)

_FLAT: Final = 2.0**-52
_SINE_TWICE: Final = "sine waves cross any threshold twice per period, making the"


def crossing_secs(generator: WrittenGenerator, rate: float, clause: After) -> float:
    """Return after how many seconds `generator`, at `rate` ticks per second, satisfies `clause`.

    Raises:
        DecodeError: never, from the start, or not to be computed; the message lacks the entry that waits.
    """
    seconds = _Crossing(clause, kind_of(generator)).of(generator, rate)
    if not 0 <= seconds < math.inf:
        raise _Crossing(clause, kind_of(generator)).unreachable(
            f"the computed crossing time of {number_text(seconds)} seconds is unusable"
        )
    return seconds


class _Crossing:
    """The formulas for one clause; `n` below is a number as messages show it."""

    def __init__(self, clause: After, kind: str) -> None:
        self._op = clause.op
        self._threshold = clause.value
        self._shown = number_text(clause.value)
        self._ref = clip(clause.ref)
        self._kind = kind

    def of(self, generator: WrittenGenerator, rate: float) -> float:
        match generator:
            case Sawtooth():
                return self._ramp(generator.min, generator.max, generator.period_secs)
            case Saturation():
                period = self._secs("time_to_saturate", generator.time_to_saturate)
                return self._ramp(generator.baseline, generator.ceiling, period)
            case Leak():
                period = self._secs("time_to_ceiling", generator.time_to_ceiling)
                return self._ramp(generator.baseline, generator.ceiling, period)
            case Degradation():
                period = self._secs("time_to_degrade", generator.time_to_degrade)
                return self._ramp(generator.baseline, generator.ceiling, period)
            case Spike():
                return self._spike(generator.baseline, generator.magnitude, generator.duration_secs)
            case SpikeEvent():
                duration = self._secs("spike_duration", generator.spike_duration)
                return self._spike(generator.baseline, generator.spike_height, duration)
            case Flap():
                return self._flap(generator)
            case Step():
                return self._step(generator, rate)
            case Sequence():
                return self._sequence(generator.values, rate)
            case Constant():
                raise self._constant(generator.value)
            case Sine() | Uniform() | CsvReplay() | Steady():
                raise self._unsupported(_UNSUPPORTED[type(generator)])

    def unreachable(self, reason: str) -> DecodeError:
        return DecodeError(f"after.ref '{self._ref}' op '{self._op}' value {self._shown} -- {reason}")

    def _ambiguous(self, reason: str) -> DecodeError:
        return self.unreachable(f"condition is true at t=0, timing is ambiguous: {reason}")

    def _unsupported(self, reason: str) -> DecodeError:
        return DecodeError(
            f"after.ref '{self._ref}' uses generator '{self._kind}' which does not support {self._op} threshold "
            f"crossings: {reason}"
        )

    def _secs(self, field: str, text: str) -> float:
        try:
            return duration_secs(text)
        except DurationError as exc:
            raise DecodeError(
                f"invalid duration '{clip(text)}' in {self._kind}.{field}: configuration error: {exc}"
            ) from exc

    def _ramp(self, base: float, ceiling: float, period_secs: float) -> float:
        t, n, b, c = self._threshold, self._shown, number_text(base), number_text(ceiling)
        if abs(ceiling - base) < _FLAT:
            raise self.unreachable(
                f"baseline ({b}) equals ceiling ({c}); the signal is constant and cannot cross any threshold"
            )
        low, high = min(base, ceiling), max(base, ceiling)
        if self._op == ">":
            if t >= high:
                raise self.unreachable(f"threshold {n} is at or above ceiling {c}; the signal never exceeds it")
            if t < low:
                raise self._ambiguous(
                    f"threshold {n} is below baseline {b}; the signal starts above it (satisfied at t=0)"
                )
            return (t - base) / (ceiling - base) * period_secs
        if t <= low:
            raise self.unreachable(f"threshold {n} is at or below baseline {b}; the signal never drops below it")
        if t > high:
            raise self._ambiguous(
                f"threshold {n} is above ceiling {c}; the signal is always below it (satisfied at t=0)"
            )
        if base < t:
            raise self._ambiguous(
                f"signal starts at baseline {b} which is already below threshold {n} (satisfied at t=0)"
            )
        raise self.unreachable(f"the sawtooth ramps from {b} toward {c}; it does not cross below {n} during the ramp")

    def _spike(self, base: float, height: float, duration_secs: float) -> float:
        t, n, b = self._threshold, self._shown, number_text(base)
        peak = base + height
        p = number_text(peak)
        low, high = min(base, peak), max(base, peak)
        if self._op == ">":
            if t >= high:
                raise self.unreachable(f"threshold {n} is at or above peak value {p}; the signal never exceeds it")
            if t < low:
                raise self._ambiguous(
                    f"threshold {n} is below baseline {b}; the signal is always above it (satisfied at t=0)"
                )
            if peak > t:
                raise self._ambiguous(
                    f'"> {n}" is satisfied at t=0 (spike starts immediately at peak {p}). Use "<" to detect when the '
                    "spike ends"
                )
            raise self.unreachable(f"peak {p} does not exceed threshold {n}")
        if t <= low:
            raise self.unreachable(f"threshold {n} is at or below baseline {b}; the signal never drops below it")
        if t > high:
            raise self._ambiguous(f"threshold {n} is above peak {p}; the signal is always below it (satisfied at t=0)")
        if base < t:
            return duration_secs
        raise self.unreachable(
            f"baseline {b} is not below threshold {n}; the signal does not cross below it when the spike ends"
        )

    def _flap(self, flap: Flap) -> float:
        t, n = self._threshold, self._shown
        up_secs = self._secs("up_duration", flap.up_duration)
        self._secs("down_duration", flap.down_duration)
        up_value, down_value = flap.levels
        up, down = number_text(up_value), number_text(down_value)
        low, high = min(flap.levels), max(flap.levels)
        if self._op == "<":
            if t <= low:
                raise self.unreachable(
                    f"threshold {n} is at or below the down_value {down}; the flap signal never goes below it"
                )
            if t > high:
                raise self._ambiguous(
                    f"threshold {n} is above up_value {up}; the flap signal is always below it (satisfied at t=0)"
                )
            if down_value < t:
                return up_secs
            raise self.unreachable(
                f"down_value {down} is not less than threshold {n}; the flap signal never drops below {n}"
            )
        if t >= high:
            raise self.unreachable(f"threshold {n} is at or above up_value {up}; the flap signal never exceeds it")
        if t < low:
            raise self._ambiguous(
                f"threshold {n} is below down_value {down}; the flap signal is always above it (satisfied at t=0)"
            )
        if up_value > t:
            raise self._ambiguous(
                f'"flap_signal > {n}" is satisfied at t=0 (starts at up_value {up}). Use "<" to detect the down event'
            )
        raise self.unreachable(f"up_value {up} equals threshold {n}; the signal never strictly exceeds it")

    def _step(self, step: Step, rate: float) -> float:
        t, n, start, size = self._threshold, self._shown, step.start, step.step_size
        if not 0 < rate < math.inf:
            raise self.unreachable(f"step rate {number_text(rate)} must be positive and finite")
        if self._op == "<":
            raise self._unsupported(
                "step generator does not support `< threshold`; the value is monotonically non-decreasing"
            )
        if size == 0:
            raise self.unreachable("step_size is 0; the signal never advances")
        if size < 0:
            raise self.unreachable(
                f"step_size {number_text(size)} is negative; the signal moves away from `> threshold`"
            )
        if start > t:
            raise self._ambiguous(
                f"step generator starts at {number_text(start)} which already exceeds threshold {n} (satisfied at t=0)"
            )
        ticks = (t - start) / size
        ticks = float(math.ceil(ticks)) if math.isfinite(ticks) else ticks
        if ticks <= 0:
            ticks = 1.0
        elif start + ticks * size <= t:
            ticks += 1
        if step.max is not None and step.max > start:
            wrap = number_text(step.max)
            if step.max <= t:
                raise self.unreachable(
                    f"step wraps at {wrap} which is at or below threshold {n}; the signal never exceeds it"
                )
            if start + ticks * size >= step.max:
                raise self.unreachable(f"step wraps at {wrap} before reaching threshold {n}")
        return ticks / rate

    def _sequence(self, values: tuple[float, ...], rate: float) -> float:
        condition = f'"{self._op} {self._shown}"'
        if not 0 < rate < math.inf:
            raise self.unreachable(f"sequence rate {number_text(rate)} must be positive and finite")
        if not values:
            raise self.unreachable("sequence has no values; no crossing is possible")
        tick = next((tick for tick, value in enumerate(values) if self._holds(value)), None)
        if tick is None:
            raise self.unreachable(f"no value in the sequence satisfies {condition}; the signal never crosses")
        if tick == 0:
            raise self._ambiguous(
                f"sequence starts at {number_text(values[0])} which already satisfies {condition} (satisfied at t=0)"
            )
        return tick / rate

    def _constant(self, value: float) -> DecodeError:
        condition, v = f'"{self._op} {self._shown}"', number_text(value)
        if self._holds(value):
            return self._ambiguous(f"constant generator emits {v}; {condition} is satisfied at t=0")
        return self.unreachable(f"constant generator emits {v}; it never crosses {condition}")

    def _holds(self, value: float) -> bool:
        return value > self._threshold if self._op == ">" else value < self._threshold


_UNSUPPORTED: Final[dict[type[WrittenGenerator], str]] = {
    Sine: f"sine generator is not supported as an `after` target: {_SINE_TWICE} crossing direction ambiguous",
    Uniform: (
        "uniform generator is not supported as an `after` target: the output is non-deterministic, so no crossing "
        "time can be computed"
    ),
    CsvReplay: (
        "csv_replay generator is not supported as an `after` target: the output depends on external data, so no "
        "crossing time can be computed"
    ),
    Steady: (
        f'cannot compute crossing for "steady" behavior -- {_SINE_TWICE} result ambiguous. Use explicit phase_offset '
        "instead"
    ),
}
