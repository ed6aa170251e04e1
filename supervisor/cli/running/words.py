"""How entries, sinks and numbers are written on a terminal. Source: docs/command-line.md, "Texts"."""

from importlib.util import find_spec
from typing import Final

from common.errors import DecodeError, DurationError
from common.specs import (
    Constant,
    DistributionSpec,
    EncoderSpec,
    Exponential,
    File,
    Flap,
    HttpPush,
    Kafka,
    LogTemplate,
    Loki,
    Memory,
    Normal,
    OtlpGrpc,
    OtlpHttp,
    RemoteWriteSink,
    Sawtooth,
    Sequence,
    Sine,
    SinkSpec,
    Spike,
    Step,
    Tcp,
    Udp,
    Uniform,
    kind_of,
)
from common.units import duration_or_zero_us, number_text
from common.urls import shown_url
from supervisor.compiler import Compiled, CompiledEntry
from supervisor.compiler.language.blocks import After
from supervisor.compiler.language.kinds import (
    CsvReplay,
    Degradation,
    Leak,
    LogCsvReplay,
    Saturation,
    SpikeEvent,
    Steady,
    WrittenGenerator,
    WrittenLogGenerator,
)
from supervisor.compiler.timing.crossing import crossing_secs
from supervisor.compiler.timing.offsets import offset_text

INDETERMINATE: Final = "<indeterminate — non-analytical generator>"
_KIB: Final = 1024.0


def banner_rate(rate: float) -> str:
    """Return a rate without decimals, or with one."""
    return number_text(rate) if rate.is_integer() else f"{rate:.1f}"


def bytes_text(count: int) -> str:
    """Return a size in powers of 1024."""
    if count < _KIB:
        return f"{count} B"
    size = float(count)
    for unit in ("KB", "MB"):
        size /= _KIB
        if size < _KIB:
            return f"{size:.1f} {unit}"
    return f"{size / _KIB:.1f} GB"


def elapsed_text(seconds: float) -> str:
    """Return how long a run has taken: seconds, minutes or hours."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    if seconds < 3600:
        return f"{int(seconds // 60)}m{seconds % 60:.0f}s"
    return f"{int(seconds // 3600)}h{int(seconds % 3600 // 60)}m"


def is_installed(sink: SinkSpec) -> bool:
    """Return whether what a sink needs beyond the program itself is there."""
    return sink.extra is None or find_spec(sink.extra.module) is not None


def sink_text(sink: SinkSpec) -> str:
    """Return a sink with its destination."""
    if not is_installed(sink):
        return f"{kind_of(sink)} (disabled)"
    match sink:
        case File(path=place):
            return f"file ({place})"
        case Tcp(address=place) | Udp(address=place) | OtlpGrpc(endpoint=place):
            return f"{kind_of(sink)} ({shown_url(place)})"
        case HttpPush(url=place) | Loki(url=place) | RemoteWriteSink(url=place) | OtlpHttp(url=place):
            return f"{kind_of(sink)} ({shown_url(place)})"
        case Kafka():
            return f"kafka ({shown_url(sink.brokers)} / {sink.topic})"
        case Memory(capture=True):
            return f"memory (capture, max_events={sink.max_events})"
    return kind_of(sink)


def encoder_text(encoder: EncoderSpec) -> str:
    """Return an encoder with its precision, where it has one."""
    precision: int | None = getattr(encoder, "precision", None)
    return kind_of(encoder) if precision is None else f"{kind_of(encoder)} (precision: {precision})"


def labels_text(labels: dict[str, str]) -> str:
    """Return labels in the order of their keys."""
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def source_text(entry: CompiledEntry) -> str:
    """Return what gives an entry its values, as it is written, defaults filled in."""
    if entry.distribution is not None:
        return distribution_text(entry.distribution)
    if entry.generator is not None:
        return generator_text(entry.generator)
    return "" if entry.log_generator is None else _log_text(entry.log_generator)


def generator_text(generator: WrittenGenerator) -> str:
    """Return a generator as it is written, defaults filled in."""
    n = number_text
    match generator:
        case Constant():
            return f"constant (value: {n(generator.value)})"
        case Uniform():
            return f"uniform (min: {n(generator.min)}, max: {n(generator.max)})"
        case Sine():
            return (
                f"sine (amplitude: {n(generator.amplitude)}, period_secs: {n(generator.period_secs)}, "
                f"offset: {n(generator.offset)})"
            )
        case Sawtooth():
            return (
                f"sawtooth (min: {n(generator.min)}, max: {n(generator.max)}, period_secs: {n(generator.period_secs)})"
            )
        case Sequence():
            return f"sequence ({len(generator.values)} values)"
        case Step():
            return f"step (start: {n(generator.start)}, step_size: {n(generator.step_size)})"
        case Spike():
            return f"spike (baseline: {n(generator.baseline)}, magnitude: {n(generator.magnitude)})"
        case CsvReplay():
            return f"csv_replay (file: {generator.file})"
        case Flap():
            up, down = generator.levels
            return (
                f"flap (up_duration: {generator.up_duration}, down_duration: {generator.down_duration}, "
                f"up_value: {n(up)}, down_value: {n(down)})"
            )
        case Saturation():
            return _ramp_text(generator, "time_to_saturate", generator.time_to_saturate)
        case Leak():
            return _ramp_text(generator, "time_to_ceiling", generator.time_to_ceiling)
        case Degradation():
            return _ramp_text(generator, "time_to_degrade", generator.time_to_degrade)
        case SpikeEvent():
            return f"spike_event (baseline: {n(generator.baseline)}, spike_height: {n(generator.spike_height)})"
        case Steady():
            return f"steady (center: {n(generator.center)}, amplitude: {n(generator.amplitude)})"


def distribution_text(distribution: DistributionSpec) -> str:
    """Return a distribution with its parameters."""
    match distribution:
        case Exponential(rate=rate):
            return f"Exponential {{ rate: {_float(rate)} }}"
        case Normal(mean=mean, stddev=stddev):
            return f"Normal {{ mean: {_float(mean)}, stddev: {_float(stddev)} }}"
        case _:
            return f"Uniform {{ min: {_float(distribution.min)}, max: {_float(distribution.max)} }}"


def group_text(name: str, *, auto: bool) -> str:
    """Return a clock group, marked when the compiler chose it."""
    return f"{name} (auto)" if auto else name


def offset_of(entry: CompiledEntry) -> str | None:
    """Return the offset of an entry in the largest unit that divides it."""
    if entry.phase_offset is None:
        return None
    try:
        return offset_text(duration_or_zero_us(entry.phase_offset) / 1e6)
    except DurationError:
        return entry.phase_offset


def while_text(entry: CompiledEntry) -> str | None:
    """Return the gate of an entry."""
    clause = entry.while_
    return None if clause is None else f"upstream='{clause.ref}' op='{clause.op}' value={number_text(clause.value)}"


def delay_text(entry: CompiledEntry) -> str | None:
    """Return how a gate is debounced and closed."""
    delay = entry.delay
    if delay is None:
        return None
    close = delay.closing
    parts = [f"open={_secs(delay.open)} close={_secs(close.duration)}"]
    if close.snap_to is not None:
        parts.append(f"snap_to={number_text(close.snap_to)}")
    if close.stale_marker is not None:
        parts.append(f"stale_marker={'true' if close.stale_marker else 'false'}")
    return " ".join(parts)


def first_open_text(entry: CompiledEntry, compiled: Compiled) -> str | None:
    """Return when the gate of an entry first opens, as far as that can be computed."""
    clause = entry.while_
    if clause is None:
        return None
    upstream = next((other for other in compiled.entries if other.id == clause.ref), None)
    if upstream is None or upstream.generator is None or clause.op not in ("<", ">"):
        return INDETERMINATE
    watched = After(ref=clause.ref, op="<" if clause.op == "<" else ">", value=clause.value)
    try:
        seconds = crossing_secs(upstream.generator, upstream.rate, watched)
    except DecodeError:
        return INDETERMINATE
    return f"~{number_text(seconds)}s" if seconds.is_integer() else f"~{seconds:.2f}s"


def _ramp_text(ramp: Saturation | Leak | Degradation, field: str, period: str) -> str:
    return (
        f"{kind_of(ramp)} (baseline: {number_text(ramp.baseline)}, ceiling: {number_text(ramp.ceiling)}, "
        f"{field}: {period})"
    )


def _log_text(generator: WrittenLogGenerator) -> str:
    match generator:
        case LogTemplate(templates=templates):
            return f"template ({len(templates)} templates)"
        case LogCsvReplay(file=file):
            return f"csv_replay (file: {file})"


def _float(value: float) -> str:
    text = number_text(value)
    return f"{text}.0" if value.is_integer() else text


def _secs(text: str | None) -> str:
    if text is None:
        return "0s"
    seconds = duration_or_zero_us(text, unit_optional=True) / 1e6
    return f"{number_text(seconds)}s"
