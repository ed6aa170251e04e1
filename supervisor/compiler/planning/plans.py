"""Compiled entries to plans: every bound checked, every duration a number. The 422s of a posted body.

Four passes, each over all entries before the next: replays become an entry a column, aliases become generators, then
bounds. So a missing file of the last entry is reported before a bad rate of the first.
Source: docs/http.md, "Answers".
"""

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from common.errors import DecodeError
from common.plan import EntryPlan, GatePlan, GeneratorPlan, Plan, PlannedEntry, ReplayColumn, ReplayRows, RotatingLabel
from common.specs import EncoderSpec, LogTemplate, Sequence, Spike
from common.units import clip, duration_or_zero_us, nanoseconds, number_text, quote
from supervisor.compiler.compiled import Compiled, CompiledEntry, check_label_bytes
from supervisor.compiler.faults import runtime_fault
from supervisor.compiler.language.blocks import MAX_ENTRIES, Delay, DynamicLabel
from supervisor.compiler.language.kinds import Alias, CsvReplay, LogCsvReplay
from supervisor.compiler.language.log_events import check_template
from supervisor.compiler.language.structure import IDENTIFIER
from supervisor.compiler.planning.aliases import desugar
from supervisor.compiler.planning.config import client_config
from supervisor.compiler.planning.observations import plan_observations
from supervisor.compiler.planning.sinks import check_sink
from supervisor.compiler.replays.log_replay import replay_rows
from supervisor.compiler.replays.metric_replay import Budget, replay_columns
from supervisor.compiler.timing.start_time import StartTime, parse_start_time
from supervisor.compiler.timing.windows import plan_bursts, plan_duration, plan_gap_windows, plan_gaps, plan_spikes

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
MAX_PRECISION: Final = 17


@dataclass(frozen=True)
class _Launch:
    """A scenario to be: the compiled entry it comes from, as it is shown and as it runs."""

    index: int
    shown: CompiledEntry
    runs: CompiledEntry
    replayed: ReplayColumn | ReplayRows | None


def plan_body(compiled: Compiled, allowed_paths: tuple[Path, ...]) -> Plan:
    """Return the plan of a body.

    Raises:
        CompileError: 422, naming the first entry that cannot run and why.
    """
    launches = [_desugared(launch) for launch in _fanned_out(compiled, allowed_paths)]
    return Plan(
        scenario_name=compiled.scenario_name,
        entries=tuple(_planned(launch, compiled.scenario_name, allowed_paths) for launch in launches),
    )


def _fanned_out(compiled: Compiled, allowed_paths: tuple[Path, ...]) -> list[_Launch]:
    budget = Budget()
    launches: list[_Launch] = []
    for index, entry in enumerate(compiled.entries):
        with _blaming(index):
            if isinstance(entry.generator, CsvReplay):
                for child, column in replay_columns(entry, entry.generator, allowed_paths, budget):
                    launches.append(_Launch(index, child, child, column))
            elif isinstance(entry.log_generator, LogCsvReplay):
                child, rows = replay_rows(entry, entry.log_generator, allowed_paths, budget)
                launches.append(_Launch(index, child, child, rows))
            else:
                launches.append(_Launch(index, entry, entry, None))
            if len(launches) > MAX_ENTRIES:
                raise DecodeError(f"the body expands to more than {MAX_ENTRIES} scenarios")
    return launches


def _desugared(launch: _Launch) -> _Launch:
    if launch.runs.generator is None:
        return launch
    with _blaming(launch.index):
        generator, jitter, jitter_seed = desugar(launch.runs, launch.runs.generator)
    runs = msgspec.structs.replace(launch.runs, generator=generator, jitter=jitter, jitter_seed=jitter_seed)
    return replace(launch, runs=runs)


def _planned(launch: _Launch, scenario_name: str | None, allowed_paths: tuple[Path, ...]) -> PlannedEntry:
    with _blaming(launch.index):
        plan = _plan_entry(launch, scenario_name, allowed_paths)
    return PlannedEntry(
        plan=plan,
        config=client_config(launch.shown, scenario_name),
        clock_group=launch.shown.clock_group or None,
        clock_group_auto=launch.shown.clock_group_auto,
        index=launch.index,
    )


@contextmanager
def _blaming(index: int) -> Iterator[None]:
    try:
        yield
    except DecodeError as exc:
        raise runtime_fault(index, str(exc)) from exc


def _plan_entry(launch: _Launch, scenario_name: str | None, allowed_paths: tuple[Path, ...]) -> EntryPlan:
    """Return the plan of one entry; of several faults a fixed order decides which is reported."""
    entry = launch.runs
    if not 0 < entry.rate < math.inf:
        raise DecodeError(f"rate must be positive, got {number_text(entry.rate)}")
    duration_ns = plan_duration(entry.duration)
    start = StartTime(None, 0) if entry.start_time is None else parse_start_time(entry.start_time)
    gaps = plan_gaps(entry.gaps)
    gap_windows = plan_gap_windows(entry.gap_windows)
    bursts = plan_bursts(entry.bursts)
    spikes = plan_spikes(entry.cardinality_spikes)
    dynamic_labels = tuple(_rotating(label) for label in entry.dynamic_labels or ())
    if entry.signal_type != "logs":
        check_metric_name(entry.name)
    observations = None if entry.distribution is None else plan_observations(entry, entry.distribution)
    jitter = _jitter(entry.jitter)
    check_precision(entry.encoder)
    check_sink(entry.sink, allowed_paths)
    check_label_keys(entry.labels)
    check_label_bytes(entry)
    return EntryPlan(
        id=entry.id,
        signal_type=entry.signal_type,
        name=entry.name,
        rate=entry.rate,
        duration_ns=duration_ns,
        phase_offset_ns=nanoseconds(duration_or_zero_us(entry.phase_offset or "0s")),
        anchor_ns=start.anchor_ns,
        shift_ns=start.shift_ns,
        generator=launch.replayed or observations or _source(entry),
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
        gate=_gate(entry, scenario_name),
    )


def _source(entry: CompiledEntry) -> GeneratorPlan:
    """Return the generator of a metrics or logs entry that replays nothing."""
    source = entry.generator or entry.log_generator
    match source:
        case Sequence(values=()):
            raise DecodeError("sequence generator requires at least one value")
        case Spike() if not source.interval_secs > 0:
            raise DecodeError("spike generator requires interval_secs > 0")
        case Spike() if source.duration_secs < 0:
            raise DecodeError("spike generator requires duration_secs >= 0")
        case LogTemplate():
            check_template(source)
    if source is None or isinstance(source, Alias | CsvReplay | LogCsvReplay):
        raise TypeError(f"{source} was to be replaced in an earlier pass")
    return source


def _gate(entry: CompiledEntry, scenario_name: str | None) -> GatePlan | None:
    clause = entry.while_
    if clause is None:
        return None
    delay = entry.delay or Delay()
    close = delay.closing
    return GatePlan(
        scenario_name=None if clause.scenario_name == scenario_name else clause.scenario_name,
        ref=clause.ref,
        op="<" if clause.op == "<" else ">",
        value=clause.value,
        open_delay_ns=_delay_ns(delay.open),
        close_delay_ns=_delay_ns(close.duration),
        snap_to=close.snap_to,
        stale_marker=close.stale_marker,
        if_unresolved=clause.if_unresolved or "pending",
    )


def _delay_ns(text: str | None) -> int:
    return 0 if text is None else nanoseconds(duration_or_zero_us(text, unit_optional=True))


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


def check_metric_name(name: str) -> None:
    """Raise DecodeError for a text that names no metric."""
    if not _METRIC_NAME.fullmatch(name):
        raise DecodeError(f"invalid metric name {quote(clip(name))}: must match [a-zA-Z_:][a-zA-Z0-9_:]*")


def check_label_keys(keys: Iterable[str]) -> None:
    """Raise DecodeError for the first text that names no label."""
    for key in keys:
        if not IDENTIFIER.fullmatch(key):
            raise DecodeError(f"invalid label key {quote(clip(key))}: must match [a-zA-Z_][a-zA-Z0-9_]*")


def check_precision(encoder: EncoderSpec) -> None:
    """Raise DecodeError for more decimals than a float has."""
    if encoder.precision is not None and encoder.precision > MAX_PRECISION:
        raise DecodeError(f"encoder precision must be 0..={MAX_PRECISION}, got {encoder.precision}")
