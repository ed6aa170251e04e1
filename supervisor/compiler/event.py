"""The body of POST /events to an entry of one event.

The values are those of strict JSON: nothing is read out of a text, and keys that nobody knows are ignored.
Source: docs/http.md, "Single events"; docs/sinks.md, "A single event".
"""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from common.errors import CompileError, DecodeError
from common.plan import EntryPlan, ReplayRows
from common.specs import Constant, Spec
from supervisor.compiler.language.availability import missing_kind
from supervisor.compiler.language.blocks import Labels
from supervisor.compiler.language.kinds import EncoderConfig, SinkConfig
from supervisor.compiler.language.log_events import SEVERITY_CODES
from supervisor.compiler.planning.plans import check_label_keys, check_metric_name, check_precision
from supervisor.compiler.planning.sinks import check_sink_settings
from supervisor.reading.decode import Regime, decode
from supervisor.reading.json_text import read_json


class LogFields(Spec, frozen=True, kw_only=True):
    """One log event."""

    severity: Literal["trace", "debug", "info", "warn", "warning", "error", "fatal"]
    message: str
    fields: dict[str, str] = msgspec.field(default_factory=dict)


class MetricFields(Spec, frozen=True, kw_only=True):
    """One sample; integers of any size are numbers too."""

    name: str
    value: Annotated[float, Meta(extra={"regime": "direct"})]


class LogEvent(Spec, frozen=True, kw_only=True):
    """A log event and where it goes."""

    signal_type: Literal["logs"]
    labels: Labels = msgspec.field(default_factory=dict)
    log: LogFields
    encoder: EncoderConfig
    sink: SinkConfig


class MetricEvent(Spec, frozen=True, kw_only=True):
    """A sample and where it goes."""

    signal_type: Literal["metrics"]
    labels: Labels = msgspec.field(default_factory=dict)
    metric: MetricFields
    encoder: EncoderConfig
    sink: SinkConfig


class _AnyEvent(Spec, frozen=True, kw_only=True):
    signal_type: Literal["logs", "metrics"]


_EVENTS: Final[dict[str, type[LogEvent] | type[MetricEvent]]] = {"logs": LogEvent, "metrics": MetricEvent}


def read_event(payload: bytes) -> LogEvent | MetricEvent:
    """Return what a body asks for.

    Raises:
        CompileError: 400, it is no event.
    """
    try:
        return _read(payload)
    except DecodeError as exc:
        raise CompileError(f"invalid event body: {exc}") from exc


def plan_event(event: LogEvent | MetricEvent, allowed_paths: tuple[Path, ...]) -> EntryPlan:
    """Return an entry whose first event is `event`.

    Args:
        event: what was asked for.
        allowed_paths: roots under which files may be written; empty allows every path.

    Raises:
        CompileError: 422, a value that cannot be used.
    """
    try:
        check_label_keys(sorted(event.labels))
        if isinstance(event, MetricEvent):
            check_metric_name(event.metric.name)
        check_precision(event.encoder)
        check_sink_settings(event.sink, tuple(root.resolve() for root in allowed_paths))
    except DecodeError as exc:
        raise CompileError(str(exc), 422) from exc
    if isinstance(event, MetricEvent):
        name, generator = event.metric.name, Constant(value=event.metric.value)
        return _entry(event, name=name, generator=generator)
    rows = ReplayRows(
        severities=bytes([SEVERITY_CODES[event.log.severity]]),
        messages=(event.log.message,),
        fields={key: (value,) for key, value in event.log.fields.items()},
        repeat=False,
    )
    return _entry(event, name="events.logs", generator=rows)


def _read(payload: bytes) -> LogEvent | MetricEvent:
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DecodeError(f"not UTF-8: {exc.reason} at byte {exc.start}") from exc
    root = read_json(text)
    head, _unknown = decode(root, _AnyEvent, regime=Regime.TAGGED)
    event, _unknown = decode(root, _EVENTS[head.signal_type], regime=Regime.TAGGED)
    missing = missing_kind(event.encoder, event.sink)
    if missing is not None:
        raise DecodeError(f"{missing} is not available in this release")
    return event


def _entry(event: LogEvent | MetricEvent, *, name: str, generator: Constant | ReplayRows) -> EntryPlan:
    return EntryPlan(
        id=None,
        signal_type=event.signal_type,
        name=name,
        rate=1.0,
        duration_ns=None,
        generator=generator,
        labels=dict(sorted(event.labels.items())),
        encoder=event.encoder,
        sink=event.sink,
    )
