"""Warnings about a plan that is legal but probably unintended.

Source: docs/http.md, "Start".
"""

import math
import os
from collections.abc import Iterable

from common.plan import EntryPlan, Plan
from common.specs import File, Loki, SinkSpec, kind_of
from common.units import clip, quote
from common.urls import shown_url
from supervisor.engine.placement import MOST_SHARED_DRAWS_PER_SEC, MOST_SHARED_EVENTS_PER_SEC, fits_in_shared

_MAX_COUNTED_STREAMS = 1_000_000
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_ADVICE = (
    "this host resolves to the sonda-server container's own loopback, not your host. Use a Docker Compose service name "
    "(e.g. `victoriametrics:8428`) or a Kubernetes Service DNS name instead. See docs/deployment/endpoints.md."
)


def warnings(plan: Plan, writing: Iterable[EntryPlan] = ()) -> list[str]:
    """Return the warnings about loopback addresses, Loki streams, shared workers and shared files, each in entry order.

    Args:
        plan: of the body.
        writing: what is active already.
    """
    entries = [entry.plan for entry in plan.entries]
    loopbacks = [text for entry in entries for text in loopback_warnings(entry.name, entry.sink)]
    streams = [text for entry in entries if (text := _stream_warning(entry)) is not None]
    workers = [text for entry in entries if (text := _isolation_warning(entry)) is not None]
    return loopbacks + streams + workers + _shared_files(entries, writing)


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


def _shared_files(entries: list[EntryPlan], writing: Iterable[EntryPlan]) -> list[str]:
    """Return a text for every entry that writes to the file of another one."""
    owners = {_place_of(entry.sink.path): entry.name for entry in writing if isinstance(entry.sink, File)}
    texts = []
    for entry in entries:
        if isinstance(entry.sink, File):
            file = _place_of(entry.sink.path)
            if file in owners:
                texts.append(
                    f"scenario entries '{owners[file]}' and '{entry.name}' write to the same file "
                    f"{quote(clip(entry.sink.path))}; each of them truncates it when it starts"
                )
            owners[file] = entry.name
    return texts


def _place_of(path: str) -> str:
    try:
        return os.path.realpath(path)
    except OSError:
        # A link on the way went while it was being followed.
        return os.path.abspath(path)  # noqa: PTH100 - which would follow it again


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


def _isolation_warning(entry: EntryPlan) -> str | None:
    if entry.isolation != "shared" or fits_in_shared(entry):
        return None
    return (
        f"scenario entry '{entry.name}' gets a process of its own: with more than {MOST_SHARED_EVENTS_PER_SEC} events "
        f"or {MOST_SHARED_DRAWS_PER_SEC} observations per second it would delay those that it shares one with."
    )
