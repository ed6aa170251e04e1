"""The relay's series in the Prometheus text format 0.0.4. Pure.

Source: docs/relay.md, "Reading the state".
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from supervisor.relay.admin.counters import FORWARD_BUCKETS_SECS, RelayCounters
from supervisor.relay.admin.snapshot import Snapshot
from supervisor.relay.checks.registry import ttl_secs_of
from supervisor.relay.checks.report import STATUSES
from supervisor.relay.checks.state import Shown
from supervisor.relay.ledger.jobs import DROP_REASONS

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_STATUS_NUMBERS: Final = {"ok": "0", "warn": "1", "error": "2"}
_NEVER_REPORTED: Final = "3"

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, str]


class SpoolGauges(msgspec.Struct, frozen=True):
    """The spool and the upstream at one moment; `upstream_up` None when nothing is known yet."""

    entries: int
    octets: int
    oldest_age_secs: float
    dropped: dict[str, int]
    dead_letters: int
    upstream_up: bool | None


def render(snapshot: Snapshot, counters: RelayCounters, spool: SpoolGauges) -> str:
    """Return the whole exposition."""
    lines = list(snapshot.select(None, None, None))
    return "".join((*_check_families(lines, snapshot), *_own_families(snapshot, counters, spool)))


def _check_families(lines: list[Shown], snapshot: Snapshot) -> Iterator[str]:
    yield _family(
        "check_status",
        "gauge",
        "Latest status: 0 ok, 1 warn, 2 error, 3 never reported.",
        ((_key(line), _STATUS_NUMBERS[line.state.status] if line.state else _NEVER_REPORTED) for line in lines),
    )
    yield _family(
        "check_stale",
        "gauge",
        "Whether no update came within the ttl.",
        (
            (_key(line), str(int(line.state.stale if line.state else False)))
            for line in lines
            if ttl_secs_of(snapshot.config, line.key) is not None
        ),
    )
    reported = [(line, line.state) for line in lines if line.state is not None]
    yield _family(
        "check_last_update_timestamp_seconds",
        "gauge",
        "When the latest update was accepted.",
        ((_key(line), f"{state.updated_ms / 1000:.3f}") for line, state in reported),
    )
    yield _family(
        "check_updates_total",
        "counter",
        "Accepted updates by status.",
        (
            ((*_key(line), ("status", status)), str(line.state.updates[at] if line.state else 0))
            for line in lines
            for at, status in enumerate(STATUSES)
        ),
    )
    yield _family(
        "check_transitions_total",
        "counter",
        "Changes of status.",
        ((_key(line), str(line.state.transitions if line.state else 0)) for line in lines),
    )
    yield _family(
        "check_metric",
        "gauge",
        "Metrics of the latest update.",
        (sample for line, state in reported for sample in _metric_samples(line, state.metrics)),
    )


def _own_families(snapshot: Snapshot, counters: RelayCounters, spool: SpoolGauges) -> Iterator[str]:
    yield _family(
        "requests_total",
        "counter",
        "Answered requests by client and HTTP status.",
        (
            ((("client", client), ("code", str(code))), str(count))
            for (client, code), count in sorted(counters.requests.items())
        ),
    )
    yield _family(
        "denied_total",
        "counter",
        "Denied peers by client and the attribute that did not match.",
        (
            ((("client", client), ("reason", reason)), str(count))
            for (client, reason), count in sorted(counters.denied.items())
        ),
    )
    yield _family(
        "duplicates_total",
        "counter",
        "Updates that were received again and ignored.",
        (((("client", client),), str(count)) for client, count in sorted(counters.duplicates.items())),
    )
    yield _family(
        "client_listening",
        "gauge",
        "Whether the socket of the client is open.",
        (((("client", name),), str(int(name in snapshot.listening))) for name in sorted(snapshot.config.clients)),
    )
    yield _family("spool_entries", "gauge", "Updates that wait for the upstream.", [((), str(spool.entries))])
    yield _family("spool_bytes", "gauge", "Their size in bytes.", [((), str(spool.octets))])
    yield _family(
        "spool_oldest_age_seconds", "gauge", "Age of the oldest of them.", [((), f"{spool.oldest_age_secs:.3f}")]
    )
    yield _family(
        "spool_dropped_total",
        "counter",
        "Updates that were given up, by reason.",
        (((("reason", reason),), str(spool.dropped.get(reason, 0))) for reason in DROP_REASONS),
    )
    dead = [((), str(spool.dead_letters))]
    yield _family("dead_letters", "gauge", "Updates that the upstream refused for good, as far as they are kept.", dead)
    yield _family("forwarded_total", "counter", "Attempts to forward, by result.", _by_result(counters.forwarded))
    yield _forward_histogram(counters)
    if spool.upstream_up is not None:
        up = [((), str(int(spool.upstream_up)))]
        yield _family("upstream_up", "gauge", "Whether the last attempt to forward succeeded.", up)
    yield _family("reloads_total", "counter", "Reloads of the configuration, by result.", _by_result(counters.reloads))


def _forward_histogram(counters: RelayCounters) -> str:
    name = "sondad_relay_forward_seconds"
    lines = [f"# HELP {name} Duration of upstream requests.\n# TYPE {name} histogram\n"]
    seen = 0
    bounds = [*map(_number, FORWARD_BUCKETS_SECS), "+Inf"]
    for bound, count in zip(bounds, counters.forward_buckets, strict=True):
        seen += count
        lines.append(f'{name}_bucket{{le="{bound}"}} {seen}\n')
    lines.append(f"{name}_sum {_number(counters.forward_sum_secs)}\n{name}_count {seen}\n")
    return "".join(lines)


def _by_result(counts: dict[str, int]) -> Iterator[Sample]:
    return (((("result", result),), str(count)) for result, count in sorted(counts.items()))


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"sondad_relay_{name}{_labels(labels)} {value}\n" for labels, value in samples]
    head = f"# HELP sondad_relay_{name} {text}\n# TYPE sondad_relay_{name} {kind}\n"
    return head + "".join(lines) if lines else ""


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _key(line: Shown) -> Labels:
    return (("client", line.key[0]), ("check", line.key[1]))


def _metric_samples(line: Shown, metrics: str) -> Iterator[Sample]:
    last_of_name = {metric["name"]: metric for metric in json.loads(metrics)}
    for name, metric in last_of_name.items():
        if metric["type"] != "String":
            yield (*_key(line), ("name", name), ("type", metric["type"])), _number(metric["value"])


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, bool) else repr(value)
