"""Encoding one event at a time, as documented: what the columnar encoders equal, and are compared with."""

import json
import math
import re
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from common.plan import SEVERITIES, EntryPlan, Histogram, LabelSpike, ReplayRows, RotatingLabel, Summary
from common.specs import (
    EncoderSpec,
    InfluxLp,
    JsonLines,
    LogTemplate,
    OtlpEncoder,
    PrometheusText,
    RemoteWriteEncoder,
    Syslog,
)
from tests.support.protobuf_classes import PROMETHEUS

_MASK = 2**64 - 1


def mix(number: int) -> int:
    """Return the 64-bit hash of `number`."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def labels_of(plan: EntryPlan, tick: int, spike_mask: int, own_label: dict[str, str] | None = None) -> dict[str, str]:
    """Return the merged labels of one tick in ascending key order; `own_label` is that of a bucket or quantile."""
    merged = plan.labels | (own_label or {})
    for label in plan.dynamic_labels:
        merged[label.key] = _rotating_value(label, tick)
    for bit, spike in enumerate(plan.cardinality_spikes):
        if spike_mask & (1 << bit):
            merged[spike.key] = _rotating_value(spike, tick)
    return dict(sorted(merged.items()))


def _rotating_value(label: RotatingLabel | LabelSpike, tick: int) -> str:
    index = tick % label.cardinality
    if isinstance(label, LabelSpike) and label.strategy == "random":
        return f"{label.prefix}{mix(label.seed ^ index):016x}"
    if isinstance(label, RotatingLabel) and label.values is not None:
        return label.values[index]
    return f"{label.prefix}{index}"


def shortest(value: float) -> Decimal:
    """Return the shortest decimal that reads back as `value`; the nearest, and of two the one further from zero."""
    exact = Decimal(value)
    _, digits, exponent = exact.as_tuple()
    assert isinstance(exponent, int)
    top = len(digits) + exponent
    for length in range(1, 18):
        unit = Decimal(1).scaleb(top - length)
        with localcontext(prec=800):
            below = exact // unit * unit
            candidates = [below + step * unit for step in (-1, 0, 1)]
            fitting = [(abs(c - exact), -abs(c), c) for c in candidates if float(c) == value]
        if fitting:
            return min(fitting)[2]
    raise AssertionError(f"no decimal of 17 digits for {value!r}")


def shortest_text(value: float) -> str:
    """Return the shortest decimal of a finite number without exponent and trailing zeros, its sign kept."""
    text = f"{shortest(value):f}"
    text = text.rstrip("0").removesuffix(".") if "." in text else text
    return f"-{text}" if math.copysign(1.0, value) < 0 and not text.startswith("-") else text


def text_number(value: float, precision: int | None) -> str:
    """Return a number of the text formats."""
    if not math.isfinite(value):
        return "NaN" if value != value else "inf" if value > 0 else "-inf"
    if precision is not None:
        return f"{value:.{precision}f}"
    return shortest_text(value)


def json_number(value: float, precision: int | None) -> str:
    """Return a JSON number."""
    if precision is not None:
        scaled = value * 10.0**precision
        if math.isfinite(scaled):
            value = math.trunc(scaled + math.copysign(0.49999999999999994, scaled)) / 10.0**precision
            value = math.copysign(value, scaled)
        else:
            value = scaled
    if not math.isfinite(value):
        return "null"
    digits, _, exponent = repr(value).partition("e")
    if value != 0 and abs(value) < 1e-5:
        return f"{digits}e{int(exponent)}"
    return f"{digits}e+{int(exponent)}" if exponent else digits


def series_of(plan: EntryPlan) -> list[tuple[str, dict[str, str]]]:
    """Return names of the series of one tick, each with the label that tells it apart."""
    match plan.generator:
        case Histogram(buckets=buckets):
            bounds = [*(text_number(bound, None) for bound in buckets), "+Inf"]
            series = [(f"{plan.name}_bucket", {"le": bound}) for bound in bounds]
        case Summary(quantiles=quantiles):
            series = [(plan.name, {"quantile": text_number(quantile, None)}) for quantile in quantiles]
        case _:
            return [(plan.name, {})]
    return [*series, (f"{plan.name}_sum", {}), (f"{plan.name}_count", {})]


def log_event(plan: EntryPlan, tick: int, choices: list[int]) -> tuple[str, str, dict[str, str]]:
    """Return severity, message and fields of one log event."""
    source = plan.generator
    if isinstance(source, ReplayRows):
        row = choices[0]
        columns = sorted(source.fields.items())
        present = {name: value for name, values in columns if (value := values[row]) is not None}
        return SEVERITIES[source.severities[row]], source.messages[row], present
    assert isinstance(source, LogTemplate)
    if not source.templates:
        return "info", "", {}
    template = source.templates[tick % len(source.templates)]
    pools = sorted(template.field_pools.items())
    fields = {name: pool[pick] if pool else "" for (name, pool), pick in zip(pools, choices[1:], strict=False)}
    message = re.sub(r"\{([^}]*)\}", lambda match: fields.get(match[1], match[0]), template.message)
    return SEVERITIES[choices[0]], message, fields


def encode_event(plan: EntryPlan, tick: int, row: NDArray[Any], stamp_ns: int, spike_mask: int = 0) -> list[bytes]:
    """Return the lines of one event; `row` is its row of the batch's values."""
    cells = np.atleast_1d(row).tolist()
    if plan.signal_type == "logs" and isinstance(plan.encoder, OtlpEncoder):
        return [_log_record(plan, tick, cells, stamp_ns, labels_of(plan, tick, spike_mask))]
    if plan.signal_type == "logs":
        return [_log_line(plan, tick, cells, stamp_ns, labels_of(plan, tick, spike_mask)).encode()]
    if isinstance(plan.encoder, RemoteWriteEncoder | OtlpEncoder):
        write = _time_series if isinstance(plan.encoder, RemoteWriteEncoder) else _point
        return [
            write(name, value, stamp_ns, labels_of(plan, tick, spike_mask, own_label))
            for (name, own_label), value in zip(series_of(plan), cells, strict=True)
        ]
    return [
        _metric_line(plan.encoder, name, value, stamp_ns, labels_of(plan, tick, spike_mask, own_label)).encode()
        for (name, own_label), value in zip(series_of(plan), cells, strict=True)
    ]


def _log_line(plan: EntryPlan, tick: int, choices: list[int], stamp_ns: int, labels: dict[str, str]) -> str:
    severity, message, fields = log_event(plan, tick, choices)
    match plan.encoder:
        case JsonLines():
            event = {
                "timestamp": _instant(stamp_ns),
                "severity": severity,
                "message": message,
                "labels": labels,
                "fields": fields,
            }
            return _json(event) + "\n"
        case Syslog(hostname=hostname, app_name=app_name):
            priority = {"trace": 15, "debug": 15, "info": 14, "warn": 12, "error": 11, "fatal": 8}[severity]
            escaped = {key: _escaped(text, more="]") for key, text in labels.items()}
            pairs = "".join(f' {key}="{text}"' for key, text in escaped.items())
            data = f"[sonda{pairs}]" if pairs else "-"
            return f"<{priority}>1 {_instant(stamp_ns)} {hostname} {app_name} - - {data} {message}\n"
    raise AssertionError(plan.encoder)


def _time_series(name: str, value: float, stamp_ns: int, labels: dict[str, str]) -> bytes:
    pairs = sorted([("__name__", name), *labels.items()], key=lambda pair: pair[0].encode())
    series = PROMETHEUS["TimeSeries"](labels=[{"name": key, "value": text} for key, text in pairs])
    # Whatever the runtime does with -0.0, it is a default and is left out.
    series.samples.add(timestamp=stamp_ns // 1_000_000, **({"value": value} if value != 0 else {}))
    return _framed(series.SerializeToString())


def _point(name: str, value: float, stamp_ns: int, labels: dict[str, str]) -> bytes:
    metric = Metric(name=name)
    point = metric.gauge.data_points.add(time_unix_nano=stamp_ns, as_double=value)
    for key, text in labels.items():
        point.attributes.add(key=key).value.string_value = text
    return _framed(metric.SerializeToString())


def _log_record(plan: EntryPlan, tick: int, choices: list[int], stamp_ns: int, labels: dict[str, str]) -> bytes:
    severity, message, fields = log_event(plan, tick, choices)
    number = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}[severity]
    record = LogRecord(time_unix_nano=stamp_ns, severity_number=number, severity_text=severity.upper())
    record.body.string_value = message
    for key, text in [*labels.items(), *fields.items()]:
        record.attributes.add(key=key).value.string_value = text
    return _framed(record.SerializeToString())


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "little") + message


def _metric_line(encoder: EncoderSpec, name: str, value: float, stamp_ns: int, labels: dict[str, str]) -> str:
    match encoder:
        case PrometheusText(precision=precision):
            pairs = ((key, _escaped(text).replace("\n", "\\n")) for key, text in labels.items())
            block = ",".join(f'{key}="{text}"' for key, text in pairs)
            series = f"{name}{{{block}}}" if block else name
            return f"{series} {text_number(value, precision)} {stamp_ns // 1_000_000}\n"
        case InfluxLp(field_key=field_key, precision=precision):
            tags = "".join(f",{_influx(key)}={_influx(text)}" for key, text in labels.items())
            return f"{_influx(name)}{tags} {_influx(field_key)}={text_number(value, precision)} {stamp_ns}\n"
        case JsonLines(precision=precision):
            return (
                f'{{"name":{_json(name)},"value":{json_number(value, precision)},'
                f'"labels":{_json(labels)},"timestamp":"{_instant(stamp_ns)}"}}\n'
            )
    raise AssertionError(encoder)


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"\\{character}" if character in f'"\\{more}' else character for character in text)


def _influx(text: str) -> str:
    return re.sub("([, =])", r"\\\1", text)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _instant(stamp_ns: int) -> str:
    seconds, rest_ns = divmod(stamp_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"
