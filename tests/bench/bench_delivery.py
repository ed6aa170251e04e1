"""Measures the sinks that send requests, into receivers that only read: events for each second of processor time.

    .venv/bin/python tests/bench/bench_delivery.py [--only push,loki,…] [--secs 4]

The processor time is that of all of the server's own processes. Beside each figure stands the same for a plain client
that sends ready bodies of the same size, and with PEER_SERVER, the binary of another server of the same API, for that.
Close everything else first.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from receivers import brokers, calls, plain_calls, plain_posts, plain_records, read_only, running
from served import MeasurementError, Served, entry

OURS = f"{os.path.dirname(sys.executable)}/sonda-server"
# As fast as it goes: no machine reaches this many events per second.
UNREACHED = 5e7
RUN_UP_SECS = 0.5

SINE = {"type": "sine", "amplitude": 50.0, "period_secs": 60, "offset": 50.0}
LOGS = {
    "type": "template",
    "seed": 3,
    "templates": [
        {
            "message": "Request from {ip} to {endpoint}",
            "field_pools": {
                "ip": ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
                "endpoint": ["/api/v1/health", "/api/v1/metrics"],
            },
        }
    ],
}


@dataclass(frozen=True)
class Case:
    """One scenario to measure.

    Attributes:
        name: of the figure.
        sink: less its address.
        field: of the sink, which takes the address.
        per_request: events in a request; 0 where bytes decide.
        reach: what is to be reached, as a multiple of the peer's figure.
        encoder: of the entry.
        logs: whether it is an entry of logs.
        peer: the case whose figure of the peer's counts, where the peer has no such sink.
        receiver: what to run.
        plain: the plain client of that receiver.
    """

    name: str
    sink: dict[str, Any]
    reach: str
    per_request: int = 0
    field: str = "url"
    encoder: str = "prometheus_text"
    logs: bool = False
    peer: str = ""
    receiver: Callable[[Connection], None] = read_only
    plain: Callable[[str, int], float] = plain_posts


_METRICS = {"signal_type": "metrics", "batch_size": 1000}

CASES = {
    "remote": Case(
        "remote write, batch 1000", {"type": "remote_write", "batch_size": 1000}, "10 × peer", 1000,
        encoder="remote_write",
    ),
    "otlp": Case(
        "OTLP gRPC metrics, batch 1000", {"type": "otlp_grpc", **_METRICS}, "5 × peer", 1000, "endpoint", "otlp",
        receiver=calls, plain=plain_calls,
    ),
    "otlp_http": Case(
        "OTLP HTTP metrics, batch 1000", {"type": "otlp_http", **_METRICS}, "10 × peer's gRPC", 1000, encoder="otlp",
        peer="otlp",
    ),
    "kafka": Case(
        "Kafka, default records", {"type": "kafka", "topic": "load"}, "5 × peer", 0, "brokers", receiver=brokers,
        plain=plain_records,
    ),
    "push": Case("http_push, 1 MiB", {"type": "http_push", "batch_size": 1 << 20}, "5 × peer"),
    "push_default": Case("http_push, default 4 KiB", {"type": "http_push"}, "2 × peer"),
    "loki": Case(
        "Loki, batch 1000", {"type": "loki", "batch_size": 1000}, "4 × peer", 1000, encoder="json_lines", logs=True
    ),
    "loki_default": Case("Loki, default 5", {"type": "loki"}, "2 × peer", 5, encoder="json_lines", logs=True),
    "request": Case("one request with one event", {"type": "http_push", "batch_size": 1}, "≤ 40 µs", 1),
}  # fmt: skip

_REQUEST_BYTES = {"push": 1 << 20, "push_default": 4096, "kafka": 65_536}


@dataclass(frozen=True)
class Pace:
    """What one server did.

    Attributes:
        per_cpu_sec: events for each second of its processor time.
        per_sec: events per second.
        event_bytes: encoded bytes of an event.
    """

    per_cpu_sec: float
    per_sec: float
    event_bytes: float


def measured(server: Served, case: Case, address: str, secs: int) -> Pace:
    """Run one scenario without an end, and look at it once it has run up and `secs` later."""
    body = entry("m", SINE, UNREACHED, {**case.sink, case.field: address}, encoder={"type": case.encoder})
    if case.logs:
        del body["generator"]
        body |= {"signal_type": "logs", "log_generator": LOGS, "labels": {"job": "x"}}
    (row,) = server.post(body)
    time.sleep(RUN_UP_SECS)
    before, cpu_before, begin = server.stats(row), server.cpu_secs(), time.monotonic()
    time.sleep(secs)
    after, cpu_secs, wall_secs = server.stats(row), server.cpu_secs() - cpu_before, time.monotonic() - begin
    server.delete([row])
    if after["errors"]:
        raise MeasurementError(f"{case.name}: {after['last_sink_error']}")
    events = after["total_events"] - before["total_events"]
    return Pace(events / cpu_secs, events / wall_secs, after["bytes_emitted"] / max(after["total_events"], 1))


def compare(key: str, case: Case, peer_command: str | None, secs: int) -> None:
    """Measure one case and print its line."""
    with running(case.receiver) as address:
        with Served(OURS) as server:
            pace = measured(server, case, address, secs)
        per_request = case.per_request or _REQUEST_BYTES[key] / pace.event_bytes
        plain = case.plain(address, round(per_request * pace.event_bytes))
    requests = pace.per_cpu_sec / per_request
    beside = f"{1e6 / requests:.1f} µs a request, {requests / plain:.2f} × plain client"
    if peer_command:
        theirs = CASES[case.peer or key]
        with running(theirs.receiver) as address, Served(peer_command) as peer:
            other = measured(peer, theirs, address, secs)
        beside += (
            f", {pace.per_cpu_sec / other.per_cpu_sec:.2f} × peer, {pace.per_sec / other.per_sec:.2f} × on the wall"
        )
    print(f"{case.name:32}{pace.per_cpu_sec / 1e6:>10.3f} M  {case.reach:18}{beside}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the sinks that send requests")
    parser.add_argument("--only", default=",".join(CASES), help="comma list of " + ", ".join(CASES))
    parser.add_argument("--secs", type=int, default=4)
    options = parser.parse_args()
    print(f"{'events per second of processor time':44}  {'to reach':18}beside")
    for key in options.only.split(","):
        try:
            compare(key, CASES[key], os.environ.get("PEER_SERVER"), options.secs)
        except MeasurementError as exc:
            print(f"{key}: not measured: {exc}", flush=True)


if __name__ == "__main__":
    main()
