"""Encoding one event at a time, straight from the contract: what the columnar encoders equal, and are compared with."""

import json
import math
from datetime import UTC, datetime
from decimal import Decimal, localcontext

from common.plan import EntryPlan, LabelSpike, RotatingLabel
from common.specs import JsonLines, PrometheusText

_MASK = 2**64 - 1


def mix(number: int) -> int:
    """Return the 64-bit hash of `number`."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)


def labels_of(plan: EntryPlan, tick: int, spike_mask: int) -> dict[str, str]:
    """Return the merged labels of one tick in ascending key order."""
    merged = dict(plan.labels)
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


def encode_event(plan: EntryPlan, tick: int, value: float, stamp_ns: int, spike_mask: int = 0) -> bytes:
    """Return the line of one event."""
    labels = labels_of(plan, tick, spike_mask)
    match plan.encoder:
        case PrometheusText(precision=precision):
            escaped = (
                (key, text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
                for key, text in labels.items()
            )
            block = ",".join(f'{key}="{text}"' for key, text in escaped)
            series = f"{plan.name}{{{block}}}" if block else plan.name
            return f"{series} {text_number(value, precision)} {stamp_ns // 1_000_000}\n".encode()
        case JsonLines(precision=precision):
            shown = json.dumps(labels, ensure_ascii=False, separators=(",", ":"))
            seconds, rest_ns = divmod(stamp_ns, 1_000_000_000)
            instant = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            return (
                f'{{"name":{json.dumps(plan.name, ensure_ascii=False)},"value":{json_number(value, precision)},'
                f'"labels":{shown},"timestamp":"{instant}.{rest_ns // 1_000_000:03d}Z"}}\n'
            ).encode()
