"""Metrics as a command line and as a monitoring plugin write them, to those of a report. Pure.

Source: docs/relay.md, "Reports"; Monitoring Plugins Development Guidelines, section 2.6 (performance data).
"""

import math
import re
from typing import Any, Final

from supervisor.relay.config.names import is_urn

Metric = dict[str, Any]

_TYPES: Final = {name.lower(): name for name in ("String", "Integer", "Float", "Boolean")}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_BOOLEANS: Final = {"true": True, "false": False}
_NOT_IN_A_SEGMENT: Final = re.compile(r"[^A-Za-z0-9._~/@+%-]")
_MAX_SEGMENT_CHARS: Final = 64
_COUNTER: Final = "c"
# 'a label'=value[unit][;warning[;critical[;min[;max]]]]; a quote inside quotes is written twice.
_PERFORMANCE: Final = re.compile(r"\s*(?:'((?:[^']|'')*)'|([^\s'=][^\s=]*))=([^\s;]*)(\S*)")
_VALUE: Final = re.compile(rf"({_FLOAT.pattern})([A-Za-z%]*)", re.ASCII)


def metric_of(text: str) -> Metric:
    """Return the metric that `name=value[:type]` says; without a type it is the one that the value looks like.

    Raises:
        ValueError: what is wrong with the text.
    """
    name, separator, rest = text.partition("=")
    if not separator or not name:
        raise ValueError("expected NAME=VALUE or NAME=VALUE:TYPE")
    value, colon, kind = rest.rpartition(":")
    if not colon or kind.lower() not in _TYPES:
        return {"name": name} | _guessed(rest)
    kind = _TYPES[kind.lower()]
    return {"name": name, "type": kind, "value": _typed(value, kind)}


def performance_data(text: str) -> list[Metric]:
    """Return the metrics of a plugin's performance data; what is no number is left out.

    A value is a Float, so that its series does not change when a digit comes or goes; a counter (unit `c`) is an
    Integer. Unit and thresholds are kept as they are written.
    """
    metrics = []
    for match in _PERFORMANCE.finditer(text):
        quoted, plain, number, thresholds = match.groups()
        value = _VALUE.fullmatch(number)
        label = plain if quoted is None else quoted.replace("''", "'")
        if value is None or not label or not math.isfinite(float(value[1])):
            continue
        is_counter = value[2] == _COUNTER and _INTEGER.fullmatch(value[1]) is not None
        kind = "Integer" if is_counter else "Float"
        metric = {"name": label, "type": kind, "value": int(value[1]) if is_counter else float(value[1])}
        limits = thresholds.removeprefix(";").split(";")
        members = {"unit": value[2]} | dict(zip(("warn", "crit", "min", "max"), limits, strict=False))
        metrics.append(metric | {name: member for name, member in members.items() if member})
    return metrics


def named(metrics: list[Metric], check: str, root: str | None) -> list[Metric]:
    """Return the metrics with names that the relay takes for this check.

    Args:
        metrics: a name that is a URN stays; another one becomes the last segment behind the root.
        check: its name is the root when it is a URN, else `urn:CHECK` is.
        root: another root; None for that of the check.
    """
    if root is None:
        root = check if is_urn(check) else f"urn:{_segment(check)}"
    return [
        metric if is_urn(metric["name"]) else metric | {"name": f"{root}:{_segment(metric['name'])}"}
        for metric in metrics
    ]


def _segment(text: str) -> str:
    return _NOT_IN_A_SEGMENT.sub("_", text)[:_MAX_SEGMENT_CHARS]


def _guessed(text: str) -> Metric:
    if text in _BOOLEANS:
        return {"type": "Boolean", "value": _BOOLEANS[text]}
    for kind, grammar in (("Integer", _INTEGER), ("Float", _FLOAT)):
        if grammar.fullmatch(text):
            return {"type": kind, "value": _typed(text, kind)}
    return {"type": "String", "value": text}


def _typed(text: str, kind: str) -> object:
    match kind:
        case "Boolean" if text in _BOOLEANS:
            return _BOOLEANS[text]
        case "Integer" if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
            return int(text)
        case "Float" if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        case "String":
            return text
    raise ValueError(f"{text!r} is no {kind}")
