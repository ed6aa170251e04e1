"""The decision table for check updates, written a second time, and JSON to try it with.

Source: docs/relay.md, "Reports".
"""

import math
import string
from typing import Any

from hypothesis import strategies as st

ALLOWED = set(string.ascii_letters + string.digits + "._~/@+%-")
SHAPE = "metrics must contain an object with name, type and value"


class RefusalError(Exception):
    """The model's verdict."""


def fits(kind: str, value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match kind:
        case "String":
            return isinstance(value, str)
        case "Boolean":
            return isinstance(value, bool)
        case "Float":
            try:
                return number and math.isfinite(float(value))
            except OverflowError:
                return False
        case _:
            if isinstance(value, float):
                return math.isfinite(value) and value == int(value) and -(2**53) <= value <= 2**53
            return number and -(2**63) <= value <= 2**63 - 1


def model(body: Any, query: dict[str, str]) -> str:
    """Return the status that the update reports; raises the (code, message). Written from the table."""
    if not isinstance(body, dict):
        raise RefusalError("InvalidArgument", "body must be a JSON object")
    for name in ("status", "metrics", "message"):
        if name in body and name in query:
            raise RefusalError("InvalidArgument", f"duplicate parameter: {name}")
    merged = {**body, **query}
    for name in ("status", "metrics"):
        value = merged.get(name)
        if value is None or (isinstance(value, (bool, int, float, str)) and not value):
            raise RefusalError("MissingParameter", f'"{name}" is a required parameter')
    if merged["status"] not in ("ok", "warn", "error"):
        raise RefusalError("InvalidArgument", "status must be one of: ok,warn,error")
    metrics = merged["metrics"] if isinstance(merged["metrics"], list) else [merged["metrics"]]
    for metric in metrics:
        whole = isinstance(metric, dict) and {"name", "type", "value"} <= set(metric)
        if not whole or not isinstance(metric["name"], str) or not metric["name"]:
            raise RefusalError("InvalidArgument", SHAPE)
        if metric["type"] not in ("String", "Integer", "Boolean", "Float"):
            raise RefusalError("InvalidArgument", SHAPE)
    for metric in metrics:
        if not fits(metric["type"], metric["value"]):
            name = metric["name"][:128]
            raise RefusalError(
                "InvalidArgument", f"value of metric {name} does not correspond to type {metric['type']}"
            )
    if merged.get("message") is not None and not isinstance(merged["message"], str):
        raise RefusalError("InvalidArgument", '"message" must be a string')
    return str(merged["status"])


def verdict(body: Any, query: dict[str, str]) -> str | tuple[str, str]:
    """Return the status, or the code and the message of the refusal."""
    try:
        return model(body, query)
    except RefusalError as refusal:
        return refusal.args[0], refusal.args[1]


def is_named_after(name: str, roots: list[str]) -> bool:
    """Return whether `name` is a URN that equals or extends one of `roots` segment by segment; "*" is any."""
    segments = name.split(":")
    is_urn = 2 <= len(segments) <= 16 and len(name) <= 255
    is_urn = is_urn and all(1 <= len(segment) <= 64 and set(segment) <= ALLOWED for segment in segments)
    return is_urn and any(root == "*" or segments[: root.count(":") + 1] == root.split(":") for root in roots)


def answer(body: Any, query: dict[str, str], check: str, roots: dict[str, list[str]]) -> tuple[int, str, str]:
    """Return the status, code and message (both empty for 202) of an update of `check`, one of `roots` or unknown."""
    decided = verdict(body, query)
    if isinstance(decided, tuple):
        return (409, *decided)
    if check not in roots:
        return 404, "ResourceNotFound", f"{check} is not a registered check"
    metrics = {**body, **query}["metrics"]
    for metric in metrics if isinstance(metrics, list) else [metrics]:
        if not is_named_after(metric["name"], roots[check]):
            text = f"metric name {metric['name'][:128]} is not valid for check {check}"
            return 409, "InvalidArgument", text
    return 202, "", ""


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -0.0, 2**53, 2.0**53, 2.0**53 + 2, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**30, 10**400])
    | texts
    | st.sampled_from(["ok", "warn", "error", "", "0", "5", "String", "Integer", "Boolean", "Float"])
)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
names = st.sampled_from(
    ["urn:a", "urn:a:b", "urn:a:", "urn:ab", "urn:b", "urn", "URN:a", "amon:a", "urn:\u00e9", "urn:a b", ""]
    + [f"urn:a:{'x' * length}" for length in (64, 65)]
    + [":".join(["urn", "a", *"b" * more]) for more in (14, 15)]
    + [":".join(["urn", "a", *["c" * 60] * 4, "d" * last]) for last in (4, 5)]
)
metric = st.fixed_dictionaries(
    {},
    optional={
        "name": names | anything,
        "type": st.sampled_from(["String", "Integer", "Boolean", "Float"]) | anything,
        "value": anything,
        "data": anything,
    },
)
good_metric = st.fixed_dictionaries(
    {"name": names, "type": st.sampled_from(["String", "Integer", "Boolean", "Float"]), "value": scalars}
)
metrics_value = metric | good_metric | st.lists(metric | good_metric | anything, max_size=3) | anything
bodies = (
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.sampled_from(["ok", "warn", "error"]) | anything,
            "metrics": metrics_value,
            "message": texts | anything,
            "client": anything,
        },
    )
    | anything
)
queries = st.dictionaries(st.sampled_from(["status", "metrics", "message", "zone"]), texts, max_size=2)
values = {
    "String": texts,
    "Boolean": st.booleans(),
    "Integer": st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9).map(float),
    "Float": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9),
}
sound_metric = st.one_of(
    st.fixed_dictionaries({"name": names, "type": st.just(kind), "value": value}, optional={"data": anything})
    for kind, value in values.items()
)
# Bodies of which about half are accepted: the other strategies find faults of the parameters first.
sound_bodies = st.fixed_dictionaries(
    {"status": st.sampled_from(["ok", "warn", "error"]), "metrics": sound_metric | st.lists(sound_metric, max_size=3)},
    optional={"message": texts | st.none(), "check": anything},
)
