"""Measures logs, histograms, Influx lines and replays of a live server, as fast as they go, to the null device.

    .venv/bin/python tests/bench/bench_language.py [--only rates,replay] [--secs 4]

PEER_SERVER names the binary of another server of the same API, measured in the same run. Close everything else first.
"""

import argparse
import contextlib
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from served import LABELS, MeasurementError, Served

OURS = f"{os.path.dirname(sys.executable)}/sonda-server --allow-path /dev --allow-path {tempfile.gettempdir()}"
NULL = {"type": "file", "path": "/dev/null"}
# As fast as it goes: no machine reaches this many ticks per second.
UNREACHED = 2e8
REPLAYED_ROWS = 1_000_000
COLUMN_BYTES = 8 * REPLAYED_ROWS

REQUESTS = {
    "message": "Request from {ip} to {endpoint}",
    "field_pools": {
        "ip": ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
        "endpoint": ["/api/v1/health", "/api/v1/metrics"],
    },
}
TIMINGS = {
    "message": "{method} {path} took {took} ms",
    "field_pools": {
        "method": ["GET", "POST", "PUT"],
        "path": ["/cart", "/pay", "/thanks", "/search"],
        "took": [str(milliseconds) for milliseconds in range(1, 40)],
    },
}
ONE = {"type": "template", "templates": [REQUESTS], "seed": 3}
MANY = {
    "type": "template",
    "templates": [REQUESTS, TIMINGS],
    "severity_weights": {"info": 0.7, "warn": 0.2, "error": 0.1},
    "seed": 3,
}


@dataclass(frozen=True)
class Case:
    """One scenario; `reach` in ticks per second."""

    name: str
    source: dict[str, Any]
    reach: str
    lines: int = 1


def logs(generator: dict[str, Any], encoder: str) -> dict[str, Any]:
    return {"signal_type": "logs", "log_generator": generator, "encoder": {"type": encoder}}


def observed(signal: str, distribution: dict[str, Any]) -> dict[str, Any]:
    return {
        "signal_type": signal,
        "distribution": distribution,
        "observations_per_tick": 100,
        "seed": 42,
        "encoder": {"type": "prometheus_text"},
    }


def metric(generator: dict[str, Any], encoder: str) -> dict[str, Any]:
    return {"signal_type": "metrics", "generator": generator, "encoder": {"type": encoder}}


EXPONENTIAL = {"type": "exponential", "rate": 10}
NORMAL = {"type": "normal", "mean": 0.1, "stddev": 0.02}
CASES = [
    Case("log template, json_lines", logs(ONE, "json_lines"), "3.0 M"),
    Case("log template, syslog", logs(ONE, "syslog"), "3.0 M"),
    Case("two templates, severities, json_lines", logs(MANY, "json_lines"), ""),
    Case("two templates, severities, syslog", logs(MANY, "syslog"), ""),
    Case("histogram, exponential", observed("histogram", EXPONENTIAL), "0.16 M", lines=14),
    Case("histogram, normal", observed("histogram", NORMAL), "", lines=14),
    Case("histogram, uniform", observed("histogram", {"type": "uniform", "min": 0, "max": 2}), "", lines=14),
    Case("summary, exponential", observed("summary", EXPONENTIAL), "", lines=6),
    Case("influx_lp, constant", metric({"type": "constant", "value": 42.0}, "influx_lp"), "6.0 M"),
    Case("influx_lp, sawtooth", metric({"type": "sawtooth", "min": 0, "max": 100, "period_secs": 60}, "influx_lp"), ""),
    Case("flap", metric({"type": "flap", "up_duration": "1ms", "down_duration": "1ms"}, "prometheus_text"), ""),
]


def launched(server: Served, source: dict[str, Any], secs: int) -> str:
    entry = {"id": "x", "name": "bench", "rate": UNREACHED, "duration": f"{secs}s", "labels": LABELS, "sink": NULL}
    (row,) = server.post(entry | source)
    return row


def full_speed(server: Served, source: dict[str, Any], secs: int) -> tuple[float, float]:
    """Return ticks per second, and bytes per tick."""
    row = launched(server, source, secs)
    time.sleep(secs)
    server.wait_finished([row], 30)
    stats = server.stats(row)
    server.delete([row])
    return stats["total_events"] / secs, stats["bytes_emitted"] / max(stats["total_events"], 1)


def rates(ours: Served, peer: Served | None, secs: int) -> Iterator[tuple[str, str, str, str]]:
    """One scenario as fast as it goes, with three labels."""
    for case in CASES:
        rate, tick_bytes = full_speed(ours, case.source, secs)
        beside = [f"{rate * case.lines / 1e6:.2f} M lines/s, {rate * tick_bytes / 1e6:.0f} MB/s"]
        if peer:
            beside.append(f"{rate / full_speed(peer, case.source, secs)[0]:.1f} × peer")
        yield case.name, f"{rate / 1e6:.3f} M ticks/s", case.reach, ", ".join(beside)


def write_recording(path: Path) -> None:
    """Write a million rows of a time and a value."""
    with path.open("w") as recording:
        recording.write("timestamp,cpu\n")
        recording.writelines(
            f"{1_700_000_000 + row},{50 + 40 * math.sin(row / 500):.3f}\n" for row in range(REPLAYED_ROWS)
        )


def replay(ours: Served, _peer: Served | None, secs: int) -> Iterator[tuple[str, str, str, str]]:
    """A million rows: from POST to the answer, then as fast as they go, and the memory that all processes hold."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        write_recording(Path(file.name))
        source = {"type": "csv_replay", "file": file.name, "timescale": UNREACHED}
        before = ours.private_bytes()
        begin = time.monotonic()
        row = launched(ours, metric(source, "prometheus_text"), secs)
        load_secs = time.monotonic() - begin
        time.sleep(secs / 2)
        held = ours.private_bytes() - before
        peak = max(peak_bytes(process) for process in ours.processes())
        time.sleep(secs / 2)
        ours.wait_finished([row], 30)
        rate = ours.stats(row)["total_events"] / secs
        ours.delete([row])
    title = f"csv_replay of {REPLAYED_ROWS:,} rows"
    yield f"{title}, load", f"{load_secs:.2f} s", "< 3 s", f"{load_secs / REPLAYED_ROWS * 1e9:.0f} ns a row"
    yield f"{title}, emit", f"{rate / 1e6:.2f} M lines/s", "5.0 M", ""
    yield (
        f"{title}, memory",
        f"{held / COLUMN_BYTES:.1f} × column",
        "< 10 ×",
        f"largest process {peak / 1e6:.0f} MB at most",
    )


def peak_bytes(process: psutil.Process) -> int:
    """Return the most memory that a process ever held, shared pages included."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


PARTS: dict[str, Callable[[Served, Served | None, int], Iterator[tuple[str, str, str, str]]]] = {
    "rates": rates,
    "replay": replay,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the scenario language")
    parser.add_argument("--only", default=",".join(PARTS), help="comma list of " + ", ".join(PARTS))
    parser.add_argument("--secs", type=int, default=4, help="length of each measurement")
    options = parser.parse_args()
    peer_binary = os.environ.get("PEER_SERVER")
    print(f"{'figure':38} {'measured':22} {'to reach':10} beside")
    for part in options.only.split(","):
        with Served(OURS) as ours, Served(peer_binary) if peer_binary else contextlib.nullcontext() as peer:
            try:
                for name, text, reach, beside in PARTS[part](ours, peer, options.secs):
                    print(f"{name:38} {text:22} {reach:10} {beside}", flush=True)
            except MeasurementError as exc:
                print(f"{part}: not measured to its end: {exc}", flush=True)


if __name__ == "__main__":
    main()
