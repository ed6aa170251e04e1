"""Compiled entries to plans: every bound checked, every duration a number. The 422s of a posted body.

Four passes, each over all entries before the next: replays become an entry a column, aliases become generators, then
bounds. So a missing file of the last entry is reported before a bad rate of the first.
Source: docs/http.md, "Answers".
"""

import math
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, cast

import msgspec

from common.errors import DecodeError
from common.plan import (
    EntryPlan,
    FileAccess,
    GatePlan,
    GeneratorPlan,
    Histogram,
    Plan,
    PlannedEntry,
    ReplayColumn,
    ReplayRows,
    RotatingLabel,
    Summary,
    gathering_ns,
)
from common.specs import EncoderSpec, LogTemplate, Sequence, Spike
from common.units import clip, duration_or_zero_us, nanoseconds, number_text, quote
from supervisor.compiler.asked import AS_IT_IS, Asked
from supervisor.compiler.compiled import Compiled, CompiledEntry, check_label_bytes
from supervisor.compiler.faults import Faults, runtime_fault
from supervisor.compiler.language.blocks import BLOCKS, MAX_ENTRIES, STAND_IN_BLOCKS, Delay, DynamicLabel
from supervisor.compiler.language.kinds import Alias, CsvReplay, LogCsvReplay
from supervisor.compiler.language.log_events import check_template
from supervisor.compiler.language.structure import IDENTIFIER, identifier_hint
from supervisor.compiler.planning.aliases import desugar
from supervisor.compiler.planning.config import client_config
from supervisor.compiler.planning.observations import plan_observations
from supervisor.compiler.planning.segments import shared
from supervisor.compiler.planning.sinks import SINK_CHECKS, check_record_key
from supervisor.compiler.replays.log_replay import replay_rows
from supervisor.compiler.replays.metric_replay import Budget, replay_columns
from supervisor.compiler.timing.start_time import StartTime, parse_backfill, parse_start_time
from supervisor.compiler.timing.windows import plan_bursts, plan_duration, plan_gap_windows, plan_gaps, plan_spike

_METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
MAX_PRECISION: Final = 17


@dataclass(frozen=True)
class _Launch:
    """A scenario to be: the compiled entry it comes from, as it is shown and as it runs."""

    index: int
    shown: CompiledEntry
    runs: CompiledEntry
    replayed: ReplayColumn | ReplayRows | None


def plan_body(compiled: Compiled, access: FileAccess, faults: Faults, asked: Asked = AS_IT_IS) -> Plan:
    """Return the plan of a body, or of a part of it.

    Args:
        compiled: the body.
        access: where the files that it names may be.
        faults: takes what cannot run (422) and raises it, with whatever it had before.
        asked: how it is to run.

    Raises:
        CompileError: there are faults.
    """
    launches = [_desugared(launch, faults) for launch in _fanned_out(compiled, access, faults)]
    planned = tuple(_planned(launch, compiled.scenario_name, access, faults, asked) for launch in launches)
    if asked.segment is not None:
        for launch in launches:
            with _blaming(faults, launch.index):
                faults.try_at(("while", "scenario_name"), _check_divisible, launch.runs, compiled.scenario_name)
    faults.close()
    share = None
    if asked.segment is not None:
        splits = [launch.runs.split or "series" for launch in launches]
        planned, share = shared(list(zip(planned, splits, strict=True)), asked.segment)
    return Plan(
        scenario_name=compiled.scenario_name,
        entries=tuple(msgspec.structs.replace(entry, start_at_ns=asked.start_at_ns) for entry in planned),
        segment=share,
        start_at_ns=asked.start_at_ns,
        resumes=asked.resumes,
    )


def _fanned_out(compiled: Compiled, access: FileAccess, faults: Faults) -> list[_Launch]:
    budget = Budget()
    launches: list[_Launch] = []
    for index, entry in enumerate(compiled.entries):
        with _blaming(faults, index), faults.at(BLOCKS[entry.signal_type]) as fine:
            if isinstance(entry.generator, CsvReplay):
                for child, column in replay_columns(entry, entry.generator, access, budget):
                    launches.append(_Launch(index, child, child, column))
            elif isinstance(entry.log_generator, LogCsvReplay):
                child, rows = replay_rows(entry, entry.log_generator, access, budget)
                launches.append(_Launch(index, child, child, rows))
            else:
                launches.append(_Launch(index, entry, entry, None))
        if not fine():
            launches.append(_Launch(index, entry, _without_replay(entry), None))
        if len(launches) > MAX_ENTRIES:
            with _blaming(faults, index):
                raise DecodeError(f"the body expands to more than {MAX_ENTRIES} scenarios")
            break
    return launches


def _without_replay(entry: CompiledEntry) -> CompiledEntry:
    """Return an entry whose other fields can be looked at further."""
    block, stand_in = BLOCKS[entry.signal_type], STAND_IN_BLOCKS[entry.signal_type]
    return msgspec.structs.replace(entry, **{block: stand_in})


def _desugared(launch: _Launch, faults: Faults) -> _Launch:
    if launch.runs.generator is None:
        return launch
    runs = _without_replay(launch.runs)
    with _blaming(faults, launch.index), faults.at("generator"):
        generator, jitter, jitter_seed = desugar(launch.runs, launch.runs.generator)
        runs = msgspec.structs.replace(launch.runs, generator=generator, jitter=jitter, jitter_seed=jitter_seed)
    return replace(launch, runs=runs)


def _planned(
    launch: _Launch, scenario_name: str | None, access: FileAccess, faults: Faults, asked: Asked
) -> PlannedEntry:
    if asked.digest:
        launch = replace(launch, runs=msgspec.structs.replace(launch.runs, digest=True))
    with _blaming(faults, launch.index):
        plan = _plan_entry(launch, scenario_name, access, faults)
    return PlannedEntry(
        plan=plan,
        config=client_config(launch.shown, scenario_name),
        clock_group=launch.shown.clock_group or None,
        clock_group_auto=launch.shown.clock_group_auto,
        index=launch.index,
    )


def _blaming(faults: Faults, index: int) -> AbstractContextManager[object]:
    return faults.entry(index, partial(runtime_fault, index))


def _plan_entry(launch: _Launch, scenario_name: str | None, access: FileAccess, faults: Faults) -> EntryPlan:
    """Return the plan of one entry; a fixed order decides which of several faults is the first."""
    entry, check = launch.runs, faults.try_at
    check(("rate",), _check_rate, entry.rate)
    duration_ns = check(("duration",), plan_duration, entry.duration)
    start = check(("start_time",), _start_time, entry.start_time)
    backfill_ns = check(("backfill",), _backfill, entry)
    gaps = check(("gaps",), plan_gaps, entry.gaps)
    gap_windows = check(("gap_windows",), plan_gap_windows, entry.gap_windows)
    bursts = check(("bursts",), plan_bursts, entry.bursts)
    spikes = [
        check(("cardinality_spikes", place), plan_spike, spike)
        for place, spike in enumerate(entry.cardinality_spikes or ())
    ]
    dynamic_labels = tuple(
        check(("dynamic_labels", place), _rotating, label) for place, label in enumerate(entry.dynamic_labels or ())
    )
    check(("name",), _check_log_name if entry.signal_type == "logs" else check_metric_name, entry.name)
    observations = check((), _observations, entry)
    jitter = check(("jitter",), _jitter, entry.jitter)
    check(("encoder",), check_precision, entry.encoder)
    for sink_check in SINK_CHECKS:
        check(("sink",), sink_check, entry.sink, access)
    check(("sink",), check_record_key, entry.sink, _label_keys(entry))
    for key in entry.labels:
        check(("labels",), check_label_key, key)
    check(("labels",), check_label_bytes, entry)
    phase_offset_us = check(("phase_offset",), duration_or_zero_us, entry.phase_offset or "0s")
    source: GeneratorPlan | None = launch.replayed or observations
    if entry.distribution is None and source is None:
        source = check((BLOCKS[entry.signal_type],), _source, entry)
    gate = check(("while",), _gate, entry, scenario_name)
    check(("split",), _check_split, entry)
    if faults or source is None:
        # Nothing of it runs, so what could not be planned is not asked for.
        return cast("EntryPlan", None)
    return EntryPlan(
        id=entry.id,
        signal_type=entry.signal_type,
        name=entry.name,
        rate=entry.rate,
        duration_ns=None if duration_ns is None else duration_ns + backfill_ns,
        backfill_ns=backfill_ns,
        phase_offset_ns=nanoseconds(phase_offset_us),
        anchor_ns=start.anchor_ns,
        shift_ns=start.shift_ns,
        generator=source,
        jitter=jitter,
        jitter_seed=entry.jitter_seed or 0,
        labels=dict(sorted(entry.labels.items())),
        metric_type=entry.metric_type,
        help=entry.help or "",
        dynamic_labels=dynamic_labels,
        cardinality_spikes=tuple(spike for spike in spikes if spike is not None),
        gaps=gaps,
        gap_windows=gap_windows,
        bursts=bursts,
        encoder=entry.encoder,
        sink=entry.sink,
        on_sink_error=entry.on_sink_error or "warn",
        gate=gate,
        files=access,
        isolation=entry.isolation,
        on_restart=entry.on_restart,
        gathering_ns=gathering_ns(entry.rate),
        digest=bool(entry.digest),
    )


def _label_keys(entry: CompiledEntry) -> set[str]:
    """Return the keys of all labels that an event can have."""
    rotating = {label.key for label in entry.dynamic_labels or ()}
    return rotating | {spike.label for spike in entry.cardinality_spikes or ()} | entry.labels.keys()


def _check_rate(rate: float) -> None:
    if not 0 < rate < math.inf:
        raise DecodeError(f"rate must be positive, got {number_text(rate)}", hint="rate is in events a second")


def _start_time(text: str | None) -> StartTime:
    return StartTime(None, 0) if text is None else parse_start_time(text)


def _backfill(entry: CompiledEntry) -> int:
    if entry.backfill is None:
        return 0
    if entry.while_ is not None:
        raise DecodeError("backfill cannot be combined with `while`: what a gate let through in the past is not known")
    if (entry.start_time or "now").strip() != "now":
        raise DecodeError("backfill cannot be combined with `start_time`: its history ends at the start of the run")
    return nanoseconds(parse_backfill(entry.backfill))


def _observations(entry: CompiledEntry) -> Histogram | Summary | None:
    return None if entry.distribution is None else plan_observations(entry, entry.distribution)


def _source(entry: CompiledEntry) -> GeneratorPlan:
    """Return the generator of a metrics or logs entry that replays nothing."""
    source = entry.generator or entry.log_generator
    match source:
        case Sequence(values=()):
            raise DecodeError("sequence generator requires at least one value", at=("values",))
        case Spike() if not source.interval_secs > 0:
            raise DecodeError("spike generator requires interval_secs > 0", at=("interval_secs",))
        case Spike() if source.duration_secs < 0:
            raise DecodeError("spike generator requires duration_secs >= 0", at=("duration_secs",))
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


def _check_split(entry: CompiledEntry) -> None:
    if entry.split == "ticks" and (entry.distribution is not None or entry.encoder.looks_back):
        why = "`temporality: delta`" if entry.distribution is None else f"a {entry.signal_type}"
        raise DecodeError(
            f"split: ticks is not for an entry with {why}: its events follow from all ticks before them",
            hint="leave out `split`; the whole entry then belongs to one segment",
        )
    if entry.split == "ticks" and entry.while_ is not None:
        closing = (entry.delay or Delay()).closing
        if closing.snap_to is not None or (entry.sink.closes_series and closing.stale_marker is not False):
            raise DecodeError(
                "split: ticks is not for an entry whose gate closes its series with a last sample: every segment would "
                "write one",
                hint="leave out `snap_to`, or set `stale_marker: false`",
            )


def _check_divisible(entry: CompiledEntry, scenario_name: str | None) -> None:
    clause = entry.while_
    if clause is not None and clause.scenario_name not in (None, scenario_name):
        raise DecodeError(
            "a body with a gate on another body cannot run in segments: what the other one does is not known here",
            hint="put both into one body, or post this one without `segment`",
        )


def _delay_ns(text: str | None) -> int:
    return 0 if text is None else nanoseconds(duration_or_zero_us(text, unit_optional=True))


def _rotating(label: DynamicLabel) -> RotatingLabel:
    said = quote(clip(label.key))
    if not IDENTIFIER.fullmatch(label.key):
        raise DecodeError(
            f"invalid dynamic_labels key {said}: must match [a-zA-Z_][a-zA-Z0-9_]*",
            at=("key",),
            hint=identifier_hint(label.key),
        )
    prefix = label.prefix if isinstance(label.prefix, str) else f"{label.key}_"
    if isinstance(label.values, tuple):
        if not label.values:
            raise DecodeError(f"dynamic_labels[key={said}].values must not be empty", at=("values",))
        return RotatingLabel(key=label.key, cardinality=len(label.values), prefix=prefix, values=label.values)
    if not isinstance(label.cardinality, int) or label.cardinality == 0:
        raise DecodeError(f"dynamic_labels[key={said}].cardinality must be greater than zero", at=("cardinality",))
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


def _check_log_name(name: str) -> None:
    if "\0" in name:
        raise DecodeError(f"invalid name {quote(clip(name))}: it holds a NUL character")


def check_metric_name(name: str) -> None:
    """Raise DecodeError for a text that names no metric."""
    if not _METRIC_NAME.fullmatch(name):
        raise DecodeError(
            f"invalid metric name {quote(clip(name))}: must match [a-zA-Z_:][a-zA-Z0-9_:]*",
            hint=identifier_hint(name, ":"),
        )


def check_label_key(key: str) -> None:
    """Raise DecodeError for a text that names no label."""
    if not IDENTIFIER.fullmatch(key):
        raise DecodeError(
            f"invalid label key {quote(clip(key))}: must match [a-zA-Z_][a-zA-Z0-9_]*",
            at=(key,),
            on_key=True,
            hint=identifier_hint(key),
        )


def check_precision(encoder: EncoderSpec) -> None:
    """Raise DecodeError for more decimals than a float has."""
    if encoder.precision is not None and encoder.precision > MAX_PRECISION:
        raise DecodeError(f"encoder precision must be 0..={MAX_PRECISION}, got {encoder.precision}", at=("precision",))
