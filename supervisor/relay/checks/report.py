"""The body and query of `POST /checks/:check` -> a `Report`, or the first refusal in a fixed order. Pure.

Source: docs/relay.md, "Reports".
"""

import base64
import codecs
import hashlib
import hmac
import json
import math
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from supervisor.relay.net.answer import RefusedRequestError, malformed, quoted
from supervisor.relay.net.request import RelayRequest

STATUSES: Final = ("ok", "warn", "error")
_PARAMETERS: Final = ("status", "metrics", "message")
_MEMBERS: Final = ("name", "type", "value")
_METRIC_SHAPE: Final = "metrics must contain an object with name, type and value"
_MAX_EXACT_INTEGER: Final = 2**53
# The body with its list of metrics, as it is forwarded: what is taken here is taken by every relay on the way.
_MAX_DEPTH: Final = 128
_CONTAINERS: Final = (dict, list)
_decode: Final = msgspec.json.Decoder().decode
_encode_any: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_encode_sorted: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False).encode


class Report(msgspec.Struct, frozen=True):
    """What an agent says about a check, normalised. `metrics` is the compact JSON text of a list."""

    status: str
    message: str
    metrics: str
    metric_names: tuple[str, ...]

    def fingerprint(self) -> bytes:
        """Return the SHA-256 that tells whether two reports are the same."""
        canonical = _encode_sorted([self.status, self.message, json.loads(self.metrics)])
        return hashlib.sha256(canonical.encode()).digest()


def read_report(request: RelayRequest, query: str) -> Report:
    """Return the report that `request` with the query string `query` carries.

    Raises:
        RefusedError: with the status and code of the first rule that is broken.
    """
    _check_transfer(request)
    body = _decode_object(request.body) if request.body else {}
    parameters = _merge(query, body)
    status = parameters.get("status")
    metrics = parameters.get("metrics")
    for name, value in (("status", status), ("metrics", metrics)):
        if _is_missing(value):
            raise RefusedRequestError(409, "MissingParameter", f'"{name}" is a required parameter')
    if status not in STATUSES:
        raise _invalid("status must be one of: ok,warn,error")
    metrics = _read_metrics(metrics)
    message = parameters.get("message")
    if message is not None and not isinstance(message, str):
        raise _invalid('"message" must be a string')
    names = tuple(metric["name"] for metric in metrics)
    return Report(status, message or "", _encode(metrics), names)


def _encode(metrics: list[dict[str, Any]]) -> str:
    try:
        return msgspec.json.encode(metrics).decode()
    except OverflowError:  # an integer beyond 64 bits, in a member that the relay does not interpret
        return _encode_any(metrics)


def _invalid(message: str) -> RefusedRequestError:
    return RefusedRequestError(409, "InvalidArgument", message)


def _check_transfer(request: RelayRequest) -> None:
    if request.body_fault is not None:
        raise request.body_fault
    if request.body:
        codings = request.values("content-encoding")
        if codings:
            raise RefusedRequestError(
                415, "InvalidHeader", f"unsupported Content-Encoding: {quoted(', '.join(codings))}"
            )
        types = request.values("content-type")
        if len(types) != 1 or not _is_json(types[0]):
            raise RefusedRequestError(415, "InvalidHeader", f"unsupported Content-Type: {quoted(', '.join(types))}")
    digests = request.values("content-md5")
    if digests:
        actual = base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode()
        if not all(hmac.compare_digest(actual.encode(), digest.encode("latin-1")) for digest in digests):
            raise malformed("Content-MD5 does not match the body")


def _is_json(content_type: str) -> bool:
    if content_type == "application/json":
        return True
    media_type, *parameters = content_type.split(";")
    charsets = [
        value for name, _, value in (item.partition("=") for item in parameters) if name.strip().lower() == "charset"
    ]
    return media_type.strip().lower() == "application/json" and all(
        charset.strip().strip('"').lower() == "utf-8" for charset in charsets
    )


def _decode_object(body: bytes) -> dict[str, Any]:
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        body.decode()  # msgspec does not look into members that it skips
        value = _decode(body)
    except msgspec.ValidationError:
        if not _is_json_text(body):
            raise _not_json() from None
        raise _invalid("a number is out of range") from None
    except (UnicodeDecodeError, RecursionError, msgspec.DecodeError):
        raise _not_json() from None
    if not isinstance(value, dict):
        raise _invalid("body must be a JSON object")
    return value


def _not_json() -> RefusedRequestError:
    return RefusedRequestError(400, "InvalidArgument", "body is not valid JSON")


def _is_json_text(body: bytes) -> bool:
    """Return whether `body` is JSON apart from numbers that are too large: msgspec stops at the first of those."""
    try:
        value = json.loads(body.decode(), parse_int=len, parse_float=len, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_constant(token: str) -> None:
    raise ValueError(token)


def _merge(query: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the three parameters; a name that the query repeats holds a list, which no rule accepts."""
    if not query:
        return body
    merged = dict(body)
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name in _PARAMETERS:
            given.setdefault(name, []).append(value)
    for name in _PARAMETERS:
        if name in given:
            if name in body:
                raise _invalid(f"duplicate parameter: {name}")
            merged[name] = given[name][0] if len(given[name]) == 1 else given[name]
    return merged


def _is_missing(value: Any) -> bool:
    """Return whether JavaScript calls `value` false; unlike in Python, empty lists and objects are present."""
    return value is None or value is False or value == "" or (isinstance(value, (int, float)) and value == 0)


def _read_metrics(metrics: Any) -> list[dict[str, Any]]:
    """Return the metrics as a list with normalised values."""
    if isinstance(metrics, dict):
        metrics = [metrics]
    if not isinstance(metrics, list):
        raise _invalid(_METRIC_SHAPE)
    for metric in metrics:
        if not isinstance(metric, dict) or "value" not in metric:
            raise _invalid(_METRIC_SHAPE)
        name, kind = metric.get("name"), metric.get("type")
        if not isinstance(name, str) or not name or not isinstance(kind, str) or kind not in _CONVERTERS:
            raise _invalid(_METRIC_SHAPE)
    has_others = False
    for metric in metrics:
        has_others = has_others or len(metric) > len(_MEMBERS)
        value = _CONVERTERS[metric["type"]](metric["value"])
        if value is None:
            name = quoted(metric["name"])
            raise _invalid(f"value of metric {name} does not correspond to type {metric['type']}")
        metric["value"] = value
    if has_others and _is_deeper_than(metrics, _MAX_DEPTH - 1):
        raise _not_json()
    return metrics


def _is_deeper_than(value: Any, levels: int) -> bool:
    """Return whether more than `levels` containers stand inside one another; never recurses."""
    inside = [value]
    for _ in range(levels):
        if not inside:
            return False
        inside = [item for outer in inside if isinstance(outer, _CONTAINERS) for item in _items(outer)]
    return any(isinstance(item, _CONTAINERS) for item in inside)


def _items(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _as_string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _as_integer(value: Any) -> int | None:
    """Return an int; `7.0` and `2e3` count, since JSON has one kind of number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else None
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_EXACT_INTEGER:
        return int(value)
    return None


def _as_float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _as_boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


_CONVERTERS: Final = {"String": _as_string, "Integer": _as_integer, "Float": _as_float, "Boolean": _as_boolean}
