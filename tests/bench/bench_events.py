"""Measures POST /events of a live server: one event after the other, each answered when its file holds it.

    .venv/bin/python tests/bench/bench_events.py [--secs 5]

GET /health, answered by the same server without a worker, tells what HTTP alone costs.
"""

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from served import MeasurementError, Served

OURS = f"{os.path.dirname(sys.executable)}/sonda-server"
CLIENTS = (1, 4)


def event(path: Path) -> bytes:
    body = {
        "signal_type": "logs",
        "labels": {"app": "edge", "rack": "r2"},
        "log": {"severity": "warn", "message": "disk slow", "fields": {"dev": "sdb"}},
        "encoder": {"type": "json_lines"},
        "sink": {"type": "file", "path": str(path)},
    }
    return json.dumps(body).encode()


def latencies(port: int, method: str, path: str, bodies: list[bytes | None], secs: float) -> list[float]:
    """Return the seconds of every call of as many clients as there are bodies, in ascending order."""
    taken: list[float] = []
    failures: list[str] = []

    def ask(body: bytes | None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        until = time.monotonic() + secs
        while (begun := time.monotonic()) < until:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read()
            taken.append(time.monotonic() - begun)
            if answer.status != 200:
                failures.append(f"{answer.status} {text!r}")
                break
        connection.close()

    clients = [threading.Thread(target=ask, args=(body,)) for body in bodies]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if failures:
        raise MeasurementError(failures[0])
    return sorted(taken)


def show(name: str, taken: list[float], secs: float, reach: str = "") -> None:
    half, most = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    print(f"{name:<36} p50 {half * 1000:6.2f} ms   p99 {most * 1000:6.2f} ms   {len(taken) / secs:6.0f}/s   {reach}")


def main() -> int:
    parser = argparse.ArgumentParser(description="measure POST /events")
    parser.add_argument("--secs", type=float, default=5.0, help="seconds for every figure")
    secs = parser.parse_args().secs
    with tempfile.TemporaryDirectory() as directory, Served(f"{OURS} --allow-path {directory}") as server:
        latencies(server.port, "GET", "/health", [None], 1.0)
        for count in CLIENTS:
            show(f"GET /health, {count} clients", latencies(server.port, "GET", "/health", [None] * count, secs), secs)
            bodies = [event(Path(directory) / str(number)) for number in range(count)]
            taken = latencies(server.port, "POST", "/events", [*bodies], secs)
            show(f"POST /events to a file, {count} clients", taken, secs, "reach: p50 < 15 ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
