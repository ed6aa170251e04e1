"""The body of POST /events to an entry of one event.

The values are those of strict JSON: nothing is read out of a text, and keys that nobody knows are ignored.
Source: docs/http.md, "Single events"; docs/sinks.md, "A single event".
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from common.errors import CompileError, DecodeError
from common.plan import EntryPlan, FileAccess, ReplayRows
from common.specs import Constant, Spec
from supervisor.compiler.faults import Faults, reworded
from supervisor.compiler.language.blocks import LabelMap
from supervisor.compiler.language.kinds import EncoderConfig, SinkConfig
from supervisor.compiler.language.log_events import SEVERITY_CODES
from supervisor.compiler.origin import Origin
from supervisor.compiler.planning.plans import check_label_key, check_metric_name, check_precision
from supervisor.compiler.planning.sinks import check_record_key, check_sink_settings
from supervisor.reading.decode import Regime, examine
from supervisor.reading.json_text import read_json
from supervisor.reading.nodes import Node


class LogFields(Spec, frozen=True, kw_only=True):
    """One log event."""

    severity: Literal["trace", "debug", "info", "warn", "warning", "error", "fatal"]
    message: str
    fields: dict[str, str] = msgspec.field(default_factory=dict)


class MetricFields(Spec, frozen=True, kw_only=True):
    """One sample."""

    name: str
    value: float


class LogEvent(Spec, frozen=True, kw_only=True):
    """A log event and where it goes."""

    signal_type: Literal["logs"]
    labels: LabelMap = msgspec.field(default_factory=dict)
    log: LogFields
    encoder: EncoderConfig
    sink: SinkConfig


class MetricEvent(Spec, frozen=True, kw_only=True):
    """A sample and where it goes."""

    signal_type: Literal["metrics"]
    labels: LabelMap = msgspec.field(default_factory=dict)
    metric: MetricFields
    encoder: EncoderConfig
    sink: SinkConfig


class _AnyEvent(Spec, frozen=True, kw_only=True):
    signal_type: Literal["logs", "metrics"]


_EVENTS: Final[dict[str, type[LogEvent] | type[MetricEvent]]] = {"logs": LogEvent, "metrics": MetricEvent}


@dataclass(frozen=True, slots=True)
class PostedEvent:
    """An event, and where its parts stand in the posted text."""

    event: LogEvent | MetricEvent
    origin: Origin


def read_event(payload: bytes) -> PostedEvent:
    """Return what a body asks for.

    Raises:
        CompileError: 400, it is no event; it carries all faults that were found.
    """
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise CompileError(f"invalid event body: not UTF-8: {exc.reason} at byte {exc.start}") from exc
    try:
        root = read_json(text)
    except DecodeError as exc:
        raise _no_event(exc) from exc
    origin = Origin(text, root, None)
    faults = Faults(origin)
    event = _decoded(root, faults)
    faults.close()
    assert event is not None  # noqa: S101 - what stood in the way was raised
    return PostedEvent(event, origin)


def _decoded(root: Node, faults: Faults) -> LogEvent | MetricEvent | None:
    head, reading = examine(root, _AnyEvent, regime=Regime.TAGGED)
    event: LogEvent | MetricEvent | None = None
    if head is not None:
        event, reading = examine(root, _EVENTS[head.signal_type], regime=Regime.TAGGED)
    for error in reading.faults:
        faults.add(_no_event(error))
    return event


def _no_event(error: DecodeError) -> CompileError:
    return reworded(error, CompileError(f"invalid event body: {error}"))


def _unusable(error: DecodeError) -> CompileError:
    return reworded(error, CompileError(str(error), 422))


def plan_event(posted: PostedEvent, access: FileAccess) -> EntryPlan:
    """Return an entry whose first event is the posted one.

    Args:
        posted: what was asked for.
        access: where files may be.

    Raises:
        CompileError: 422, a value that cannot be used; it carries all faults that were found.
    """
    event, faults = posted.event, Faults(posted.origin)
    with faults.at(word=_unusable):
        for key in sorted(event.labels):
            faults.try_at(("labels",), check_label_key, key)
        if isinstance(event, MetricEvent):
            faults.try_at(("metric", "name"), check_metric_name, event.metric.name)
        faults.try_at(("encoder",), check_precision, event.encoder)
        faults.try_at(("sink",), check_sink_settings, event.sink, access)
        faults.try_at(("sink",), check_record_key, event.sink, event.labels)
    faults.close()
    if isinstance(event, MetricEvent):
        name, generator = event.metric.name, Constant(value=event.metric.value)
        return _entry(event, access, name=name, generator=generator)
    rows = ReplayRows(
        severities=bytes([SEVERITY_CODES[event.log.severity]]),
        messages=(event.log.message,),
        fields={key: (value,) for key, value in event.log.fields.items()},
        repeat=False,
    )
    return _entry(event, access, name="events.logs", generator=rows)


def _entry(
    event: LogEvent | MetricEvent, access: FileAccess, *, name: str, generator: Constant | ReplayRows
) -> EntryPlan:
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
        files=access,
    )
