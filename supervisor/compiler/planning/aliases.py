"""Operational aliases to core generators. Source: docs/scenarios.md, "Generators"."""

from typing import NamedTuple

from common.errors import DecodeError, DurationError
from common.specs import Flap, Sawtooth, Sine, Spike
from common.units import clip, duration_secs
from supervisor.compiler.compiled import CompiledEntry
from supervisor.compiler.language.kinds import (
    Degradation,
    Leak,
    Saturation,
    SpikeEvent,
    Steady,
    WrittenGenerator,
)


class Desugared(NamedTuple):
    """A core generator, and the jitter of the entry with what the alias adds to it."""

    generator: WrittenGenerator
    jitter: float | None
    jitter_seed: int | None


def desugar(entry: CompiledEntry, generator: WrittenGenerator) -> Desugared:
    """Return what `generator` stands for in this entry; one that is not an alias stands for itself.

    Raises:
        DecodeError: a parameter of the alias is unusable.
    """
    try:
        return _desugar(entry, generator)
    except (DurationError, DecodeError) as exc:
        raise DecodeError(f"desugaring failed: {exc}") from exc


def _desugar(entry: CompiledEntry, alias: WrittenGenerator) -> Desugared:
    match alias:
        case Steady():
            wave = Sine(amplitude=alias.amplitude, period_secs=duration_secs(alias.period), offset=alias.center)
            return _with_noise(entry, wave, alias)
        case Saturation():
            return _plain(entry, _ramp(alias, alias.time_to_saturate))
        case Leak():
            _check_leak(alias, entry.duration)
            return _plain(entry, _ramp(alias, alias.time_to_ceiling))
        case Degradation():
            return _with_noise(entry, _ramp(alias, alias.time_to_degrade), alias)
        case SpikeEvent():
            spike = Spike(
                baseline=alias.baseline,
                magnitude=alias.spike_height,
                duration_secs=duration_secs(alias.spike_duration),
                interval_secs=duration_secs(alias.spike_interval),
            )
            return _plain(entry, spike)
        case Flap():
            _check_flap(alias, entry.rate)
            return _plain(entry, alias)
        case _:
            return _plain(entry, alias)


def _plain(entry: CompiledEntry, generator: WrittenGenerator) -> Desugared:
    return Desugared(generator, entry.jitter, entry.jitter_seed)


def _with_noise(entry: CompiledEntry, generator: WrittenGenerator, alias: Steady | Degradation) -> Desugared:
    """Apply the alias's noise where the entry has no jitter of its own, each half by itself."""
    return Desugared(
        generator,
        alias.noise if entry.jitter is None else entry.jitter,
        alias.noise_seed if entry.jitter_seed is None else entry.jitter_seed,
    )


def _ramp(alias: Saturation | Leak | Degradation, period: str) -> Sawtooth:
    return Sawtooth(min=alias.baseline, max=alias.ceiling, period_secs=duration_secs(period))


def _check_leak(alias: Leak, duration: str | None) -> None:
    if duration is not None and duration_secs(alias.time_to_ceiling) < duration_secs(duration):
        raise DecodeError(
            f"leak: time_to_ceiling ({clip(alias.time_to_ceiling)}) is shorter than scenario duration "
            f"({clip(duration)}); the sawtooth would reset mid-run. Use 'saturation' instead for repeating "
            "fill-and-reset cycles, or increase time_to_ceiling to >= duration"
        )


def _check_flap(alias: Flap, rate: float) -> None:
    if alias.enum is not None and (alias.up_value is not None or alias.down_value is not None):
        raise DecodeError("flap: 'enum' is mutually exclusive with explicit 'up_value'/'down_value' — pick one")
    if alias.ticks(rate) == (0, 0):
        raise DecodeError("flap: up_duration and down_duration must produce at least one tick total")
