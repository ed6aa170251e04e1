"""The relay's series in the Prometheus text format 0.0.4. Pure.

Source: docs/relay.md, "Reading the state".
"""

import json
from collections.abc import Iterator
from typing import Final

import msgspec

from common.families import Family, Sample, header, histogram_lines, single
from supervisor.relay.admin.counters import FORWARD_BUCKETS_SECS, RelayCounters
from supervisor.relay.admin.snapshot import Snapshot
from supervisor.relay.checks.registry import ttl_secs_of
from supervisor.relay.checks.report import STATUSES
from supervisor.relay.checks.state import Shown
from supervisor.relay.ledger.jobs import DROP_REASONS

_PREFIX: Final = "sondad_relay_"
_FORWARD_SECONDS: Final = f"{_PREFIX}forward_seconds"
_STATUS_NUMBERS: Final = {"ok": 0, "warn": 1, "error": 2}
_NEVER_REPORTED: Final = 3
_KEY: Final = ("client", "check")


class SpoolGauges(msgspec.Struct, frozen=True):
    """The spool and the upstream at one moment; `upstream_up` None when nothing is known yet.

    `problems` is how many reasons there are why the relay is degraded.
    """

    entries: int
    size_bytes: int
    oldest_age_secs: float
    dropped: dict[str, int]
    dead_letters: int
    upstream_up: bool | None
    problems: int = 0


def render(snapshot: Snapshot, counters: RelayCounters, spool: SpoolGauges) -> str:
    """Return the whole exposition."""
    lines = list(snapshot.select(None, None, None))
    families = [*_check_families(lines, snapshot), *_client_families(snapshot, counters), *_spool_families(spool)]
    return "".join((*(family.text() for family in families), *_forwarding(counters, spool)))


def _check_families(lines: list[Shown], snapshot: Snapshot) -> Iterator[Family]:
    reported = [(line, line.state) for line in lines if line.state is not None]
    yield _family(
        "check_status",
        "gauge",
        "Latest status: 0 ok, 1 warn, 2 error, 3 never reported.",
        _KEY,
        [(line.key, _STATUS_NUMBERS[line.state.status] if line.state else _NEVER_REPORTED) for line in lines],
    )
    yield _family(
        "check_stale",
        "gauge",
        "Whether no update came within the ttl.",
        _KEY,
        [
            (line.key, line.state.stale if line.state else False)
            for line in lines
            if ttl_secs_of(snapshot.config, line.key) is not None
        ],
    )
    yield _family(
        "check_last_update_timestamp_seconds",
        "gauge",
        "When the latest update was accepted.",
        _KEY,
        [(line.key, state.updated_ms / 1000) for line, state in reported],
    )
    yield _family(
        "check_updates_total",
        "counter",
        "Accepted updates by status.",
        (*_KEY, "status"),
        [
            ((*line.key, status), line.state.updates[at] if line.state else 0)
            for line in lines
            for at, status in enumerate(STATUSES)
        ],
    )
    yield _family(
        "check_transitions_total",
        "counter",
        "Changes of status.",
        _KEY,
        [(line.key, line.state.transitions if line.state else 0) for line in lines],
    )
    yield _family(
        "check_metric",
        "gauge",
        "Metrics of the latest update.",
        (*_KEY, "name", "type"),
        [sample for line, state in reported for sample in _metric_samples(line, state.metrics)],
    )


def _client_families(snapshot: Snapshot, counters: RelayCounters) -> Iterator[Family]:
    yield _family(
        "requests_total",
        "counter",
        "Answered requests by client and HTTP status.",
        ("client", "code"),
        [((client, str(code)), count) for (client, code), count in sorted(counters.requests.items())],
    )
    yield _family(
        "denied_total",
        "counter",
        "Denied peers by client and the attribute that did not match.",
        ("client", "reason"),
        sorted(counters.denied.items()),
    )
    yield _family(
        "duplicates_total",
        "counter",
        "Updates that were received again and ignored.",
        ("client",),
        [((client,), count) for client, count in sorted(counters.duplicates.items())],
    )
    yield _family(
        "client_listening",
        "gauge",
        "Whether the socket of the client is open.",
        ("client",),
        [((name,), name in snapshot.listening) for name in sorted(snapshot.config.clients)],
    )


def _spool_families(spool: SpoolGauges) -> Iterator[Family]:
    yield single(f"{_PREFIX}spool_entries", "gauge", "Updates that wait for the upstream.", spool.entries)
    yield single(f"{_PREFIX}spool_bytes", "gauge", "Their size in bytes.", spool.size_bytes)
    oldest = round(spool.oldest_age_secs, 3)
    yield single(f"{_PREFIX}spool_oldest_age_seconds", "gauge", "Age of the oldest of them.", oldest)
    yield _family(
        "spool_dropped_total",
        "counter",
        "Updates that were given up, by reason.",
        ("reason",),
        [((reason,), spool.dropped.get(reason, 0)) for reason in DROP_REASONS],
    )
    help_text = "Updates that the upstream rejected for good, as far as they are kept."
    yield single(f"{_PREFIX}dead_letters", "gauge", help_text, spool.dead_letters)
    yield single(f"{_PREFIX}problems", "gauge", "How many problems the health names; 0 is OK.", spool.problems)


def _forwarding(counters: RelayCounters, spool: SpoolGauges) -> Iterator[str]:
    yield _by_result("forwarded_total", "Attempts to forward, by result.", counters.forwarded).text()
    yield header(_FORWARD_SECONDS, "histogram", "Duration of upstream requests.")
    yield from histogram_lines(
        _FORWARD_SECONDS, (), FORWARD_BUCKETS_SECS, counters.forward_buckets, counters.forward_sum_secs
    )
    if spool.upstream_up is not None:
        help_text = "Whether the last attempt to forward succeeded."
        yield single(f"{_PREFIX}upstream_up", "gauge", help_text, spool.upstream_up).text()
    yield _by_result("reloads_total", "Reloads of the configuration, by result.", counters.reloads).text()


def _family(name: str, metric_type: str, help_text: str, labels: tuple[str, ...], samples: list[Sample]) -> Family:
    return Family(f"{_PREFIX}{name}", metric_type, help_text, labels, samples)


def _by_result(name: str, help_text: str, counts: dict[str, int]) -> Family:
    samples: list[Sample] = [((result,), count) for result, count in sorted(counts.items())]
    return _family(name, "counter", help_text, ("result",), samples)


def _metric_samples(line: Shown, metrics: str) -> Iterator[Sample]:
    last_of_name = {metric["name"]: metric for metric in json.loads(metrics)}
    for name, metric in last_of_name.items():
        if metric["type"] != "String":
            yield (*line.key, name, metric["type"]), metric["value"]
