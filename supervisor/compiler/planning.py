"""Compiled entries to plans: every bound checked, every duration a number. The 422s of a posted body.

Source: scenario format, section 17; generators contract, section 1.8.
"""

import math
import re
from pathlib import Path
from typing import Final

from common.errors import DecodeError, DurationError
from common.plan import EntryPlan, Plan, PlannedEntry, RotatingLabel
from common.specs import EncoderSpec, GeneratorSpec, Sequence, Spike
from common.units import clip, duration_or_zero_us, duration_us, nanoseconds, number_text, quote
from supervisor.compiler.compiled import Compiled, CompiledEntry
from supervisor.compiler.config import client_config
from supervisor.compiler.faults import runtime_fault
from supervisor.compiler.kinds import WrittenGenerator
from supervisor.compiler.language import DynamicLabel
from supervisor.compiler.sinks import check_sink
from supervisor.compiler.start_time import StartTime, parse_start_time
from supervisor.compiler.structure import IDENTIFIER
from supervisor.compiler.windows import plan_bursts, plan_gap_windows, plan_gaps, plan_spikes

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
MAX_PRECISION: Final = 17


def plan_body(compiled: Compiled, allowed_paths: tuple[Path, ...]) -> Plan:
    """Return the plan of a body.

    Raises:
        CompileError: 422, naming the first entry that cannot run and why.
    """
    planned = []
    for index, entry in enumerate(compiled.entries):
        try:
            plan = _plan_entry(entry, allowed_paths)
        except DecodeError as exc:
            raise runtime_fault(index, str(exc)) from exc
        config = client_config(entry, compiled.scenario_name)
        planned.append(PlannedEntry(plan=plan, config=config, clock_group=entry.clock_group or None))
    return Plan(scenario_name=compiled.scenario_name, entries=tuple(planned))


def _plan_entry(entry: CompiledEntry, allowed_paths: tuple[Path, ...]) -> EntryPlan:
    """Return the plan of one entry; of several faults the contract's table decides which is reported."""
    if not 0 < entry.rate < math.inf:
        raise DecodeError(f"rate must be positive, got {number_text(entry.rate)}")
    duration_ns = _duration_ns(entry.duration)
    start = StartTime(None, 0) if entry.start_time is None else parse_start_time(entry.start_time)
    gaps = plan_gaps(entry.gaps)
    gap_windows = plan_gap_windows(entry.gap_windows)
    bursts = plan_bursts(entry.bursts)
    spikes = plan_spikes(entry.cardinality_spikes)
    dynamic_labels = tuple(_rotating(label) for label in entry.dynamic_labels or ())
    if not _METRIC_NAME.fullmatch(entry.name):
        raise DecodeError(f"invalid metric name {quote(clip(entry.name))}: must match [a-zA-Z_:][a-zA-Z0-9_:]*")
    jitter = _jitter(entry.jitter)
    _check_precision(entry.encoder)
    check_sink(entry.sink, allowed_paths)
    for key in entry.labels:
        if not IDENTIFIER.fullmatch(key):
            raise DecodeError(f"invalid label key {quote(clip(key))}: must match [a-zA-Z_][a-zA-Z0-9_]*")
    generator = _checked_generator(entry.generator)
    return EntryPlan(
        id=entry.id,
        name=entry.name,
        rate=entry.rate,
        duration_ns=duration_ns,
        phase_offset_ns=nanoseconds(duration_or_zero_us(entry.phase_offset or "0s")),
        anchor_ns=start.anchor_ns,
        shift_ns=start.shift_ns,
        generator=generator,
        jitter=jitter,
        jitter_seed=entry.jitter_seed or 0,
        labels=dict(sorted(entry.labels.items())),
        dynamic_labels=dynamic_labels,
        cardinality_spikes=spikes,
        gaps=gaps,
        gap_windows=gap_windows,
        bursts=bursts,
        encoder=entry.encoder,
        sink=entry.sink,
        on_sink_error=entry.on_sink_error or "warn",
    )


def _duration_ns(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return nanoseconds(duration_us(text))
    except DurationError as exc:
        raise DecodeError(f"invalid duration {quote(clip(text))}: {exc}") from exc


def _rotating(label: DynamicLabel) -> RotatingLabel:
    said = quote(clip(label.key))
    if not IDENTIFIER.fullmatch(label.key):
        raise DecodeError(f"invalid dynamic_labels key {said}: must match [a-zA-Z_][a-zA-Z0-9_]*")
    prefix = label.prefix if isinstance(label.prefix, str) else f"{label.key}_"
    if isinstance(label.values, tuple):
        if not label.values:
            raise DecodeError(f"dynamic_labels[key={said}].values must not be empty")
        return RotatingLabel(key=label.key, cardinality=len(label.values), prefix=prefix, values=label.values)
    if not isinstance(label.cardinality, int) or label.cardinality == 0:
        raise DecodeError(f"dynamic_labels[key={said}].cardinality must be greater than zero")
    return RotatingLabel(key=label.key, cardinality=label.cardinality, prefix=prefix)


def _jitter(amplitude: float | None) -> float:
    if amplitude is None:
        return 0.0
    if math.isnan(amplitude):
        raise DecodeError("jitter must not be NaN")
    if math.isinf(amplitude):
        raise DecodeError("jitter must be finite")
    if amplitude < 0:
        raise DecodeError("jitter must be non-negative")
    return amplitude


def _check_precision(encoder: EncoderSpec) -> None:
    precision: int | None = getattr(encoder, "precision", None)
    if precision is not None and precision > MAX_PRECISION:
        raise DecodeError(f"encoder precision must be 0..={MAX_PRECISION}, got {precision}")


def _checked_generator(generator: WrittenGenerator | None) -> GeneratorSpec:
    match generator:
        case Sequence(values=()):
            raise DecodeError("sequence generator requires at least one value")
        case Spike() if not generator.interval_secs > 0:
            raise DecodeError("spike generator requires interval_secs > 0")
        case Spike() if generator.duration_secs < 0:
            raise DecodeError("spike generator requires duration_secs >= 0")
    if not isinstance(generator, GeneratorSpec):
        raise TypeError(f"{generator} passed the check of what is available")
    return generator
