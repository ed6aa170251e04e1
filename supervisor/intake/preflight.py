"""Warnings about a plan that is legal but probably unintended.

Source: docs/http.md, "Start".
"""

import math

from common.plan import EntryPlan, Plan
from common.specs import Loki, SinkSpec, kind_of
from common.urls import shown_url

_MAX_COUNTED_STREAMS = 1_000_000
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_ADVICE = (
    "this host resolves to the sonda-server container's own loopback, not your host. Use a Docker Compose service name "
    "(e.g. `victoriametrics:8428`) or a Kubernetes Service DNS name instead. See docs/deployment/endpoints.md."
)


def warnings(plan: Plan) -> list[str]:
    """Return the loopback warnings in entry order, then those about the number of Loki streams."""
    entries = [entry.plan for entry in plan.entries]
    loopbacks = [text for entry in entries for text in loopback_warnings(entry.name, entry.sink)]
    return loopbacks + [text for entry in entries if (text := _stream_warning(entry)) is not None]


def loopback_warnings(entry_name: str, sink: SinkSpec) -> list[str]:
    """Return one text for every destination of the sink that is the daemon's own loopback."""
    return [
        f"scenario entry '{entry_name}' sink `{kind_of(sink)}` targets `{shown_url(target)}` — {_ADVICE}"
        for target in sink.addresses
        if host_of(target).lower() in _LOOPBACK
    ]


def host_of(target: str) -> str:
    """Return the host that a URL or `host:port` names; empty when it names none."""
    text = target.strip()
    if "://" in text:
        text = text.partition("://")[2]
    for delimiter in "/?#":
        text = text.partition(delimiter)[0]
    text = text.rpartition("@")[2]
    if text.startswith("["):
        host, bracket, _ = text[1:].partition("]")
        return host if bracket else ""
    return text.rpartition(":")[0] if ":" in text else text


def _stream_warning(entry: EntryPlan) -> str | None:
    if entry.signal_type != "logs" or not isinstance(entry.sink, Loki) or not entry.dynamic_labels:
        return None
    streams = math.lcm(*(label.cardinality for label in entry.dynamic_labels))
    cap = entry.sink.max_streams_per_push
    if streams <= cap:
        return None
    exact = streams <= _MAX_COUNTED_STREAMS
    count = f"up to {streams} distinct" if exact else f"more than {_MAX_COUNTED_STREAMS} distinct"
    keys = ", ".join(label.key for label in entry.dynamic_labels)
    return (
        f"scenario entry '{entry.name}' will produce {count} Loki streams (dynamic_labels: {keys}), exceeding "
        f"max_streams_per_push ({cap}). Either raise max_streams_per_push, reduce dynamic_labels cardinality, or "
        "reduce batch_size so each flush stays under the cap."
    )
