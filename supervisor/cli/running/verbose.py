"""The resolved configuration, as it runs. Source: docs/command-line.md, "run"."""

from collections.abc import Iterator

from common.plan import EntryPlan, Histogram, PlannedEntry, ReplayColumn, ReplayRows, Summary
from common.specs import Constant, Flap, LogTemplate, Sawtooth, Sequence, Sine, Spike, Step, Uniform
from common.units import number_text, quote
from supervisor.cli.running.source import ReadyScenario
from supervisor.cli.running.words import (
    distribution_text,
    encoder_text,
    generator_text,
    group_text,
    labels_text,
    offset_of,
    sink_text,
    source_text,
)
from supervisor.compiler import CompiledEntry
from supervisor.compiler.planning.observations import DEFAULT_BUCKETS, DEFAULT_QUANTILES

_LISTED_VALUES = 5


def version_line(program: str) -> str:
    """Return what runs."""
    from importlib import metadata

    return f"{program} {metadata.version('sondad')} — synthetic telemetry generator"


def config_lines(scenario: ReadyScenario) -> Iterator[str]:
    """Yield the blocks of all entries."""
    total = len(scenario.plan.entries)
    for number, planned in enumerate(scenario.plan.entries, 1):
        if number > 1:
            yield "───"
        yield f"[config] [{number}/{total}] {planned.plan.name}" if total > 1 else f"[config] {planned.plan.name}"
        yield ""
        for label, value in _fields(scenario.compiled.entries[planned.index], planned):
            yield f"  {label:<14} {value}"
        yield ""


def _fields(written: CompiledEntry, planned: PlannedEntry) -> Iterator[tuple[str, str]]:
    plan = planned.plan
    yield "name:", plan.name
    yield "signal:", plan.signal_type
    yield "rate:", f"{number_text(plan.rate)}/s"
    yield "duration:", written.duration or "indefinite"
    yield from _source(written, plan)
    yield "encoder:", encoder_text(plan.encoder)
    yield "sink:", sink_text(plan.sink)
    if plan.labels:
        yield "labels:", labels_text(plan.labels)
    if written.gaps is not None:
        yield "gaps:", f"every {written.gaps.every}, for {written.gaps.for_}"
    if written.bursts is not None:
        bursts = written.bursts
        yield "bursts:", f"every {bursts.every}, for {bursts.for_}, multiplier {number_text(bursts.multiplier)}x"
    for spike in written.cardinality_spikes or ():
        yield "spikes:", f"label={spike.label}, every {spike.every}, for {spike.for_}, cardinality={spike.cardinality}"
    for label in plan.dynamic_labels:
        if label.values is None:
            yield (
                "dynamic:",
                f"key={label.key}, counter (prefix={quote(label.prefix)}, cardinality={label.cardinality})",
            )
        else:
            yield "dynamic:", f"key={label.key}, values [{', '.join(quote(value) for value in label.values)}]"
    if plan.jitter:
        seed = f", seed: {plan.jitter_seed}" if plan.jitter_seed else ""
        yield "jitter:", f"+/-{number_text(plan.jitter)}{seed}"
    offset = offset_of(written)
    if offset is not None:
        yield "phase_offset:", offset
    if written.clock_group:
        yield "clock_group:", group_text(written.clock_group, auto=written.clock_group_auto)


def _source(written: CompiledEntry, plan: EntryPlan) -> Iterator[tuple[str, str]]:
    match plan.generator:
        case Histogram(buckets=buckets) as observed:
            yield "buckets:", "default (Prometheus)" if buckets == DEFAULT_BUCKETS else _list(buckets)
        case Summary(quantiles=quantiles) as observed:
            yield "quantiles:", f"{'default ' if quantiles == DEFAULT_QUANTILES else ''}{_list(quantiles)}"
        case _:
            yield "generator:", _generator(written, plan)
            return
    yield "distribution:", distribution_text(observed.distribution)
    yield "obs/tick:", str(observed.observations_per_tick)


def _generator(written: CompiledEntry, plan: EntryPlan) -> str:
    n = number_text
    match plan.generator:
        case Sine() as sine:
            return f"sine (amplitude: {n(sine.amplitude)}, period: {n(sine.period_secs)}s, offset: {n(sine.offset)})"
        case Sawtooth() as ramp:
            return f"sawtooth (min: {n(ramp.min)}, max: {n(ramp.max)}, period: {n(ramp.period_secs)}s)"
        case Sequence() as listed:
            return f"sequence ({_values(listed)}, {'repeat' if listed.repeat else 'clamp'})"
        case Step() as step:
            limit = "" if step.max is None else f", max: {n(step.max)}"
            return f"step (start: {n(step.start)}, step: {n(step.step_size)}{limit})"
        case Spike() as spike:
            return (
                f"spike (baseline: {n(spike.baseline)}, magnitude: {n(spike.magnitude)}, "
                f"duration: {n(spike.duration_secs)}s, interval: {n(spike.interval_secs)}s)"
            )
        case Uniform() as uniform:
            seed = f", seed: {uniform.seed}" if uniform.seed else ""
            return f"uniform (min: {n(uniform.min)}, max: {n(uniform.max)}{seed})"
        case LogTemplate() as template:
            return _template(template)
        case Constant() | Flap() as generator:
            return generator_text(generator)
        case ReplayColumn() | ReplayRows():
            return source_text(written)
    return source_text(written)


def _values(listed: Sequence) -> str:
    if len(listed.values) <= _LISTED_VALUES:
        return _list(listed.values)
    first, second = listed.values[:2]
    return f"[{number_text(first)}, {number_text(second)}, ... {len(listed.values)} total]"


def _template(template: LogTemplate) -> str:
    parts = [f"{len(template.templates)} template(s)"]
    if template.severity_weights:
        weights = sorted(template.severity_weights.items())
        parts.append("severity: " + "/".join(f"{name}={number_text(weight)}" for name, weight in weights))
    if template.seed:
        parts.append(f"seed: {template.seed}")
    return f"template ({', '.join(parts)})"


def _list(values: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{number_text(value)}.0' if value.is_integer() else number_text(value) for value in values)}]"
