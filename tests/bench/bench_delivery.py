"""Measures the HTTP sinks of a live server into a receiver that only reads, and prints each figure beside its reach.

    .venv/bin/python tests/bench/bench_delivery.py [--secs 4]

PEER_SERVER names the binary of another server of the same API, measured in the same run. Close everything else first.
"""

import argparse
import http.client
import multiprocessing
import os
import re
import socket
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from served import Served, entry

OURS = f"{os.path.dirname(sys.executable)}/sonda-server"
# As fast as it goes: no machine reaches this many events per second.
UNREACHED = 2e8
ANSWER = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"

CONSTANT = {"type": "constant", "value": 42.0}
SAWTOOTH = {"type": "sawtooth", "min": 0.0, "max": 100.0, "period_secs": 60}
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


@dataclass
class Case:
    """One scenario to measure."""

    name: str
    sink: dict[str, Any]
    source: dict[str, Any]
    encoder: str = "prometheus_text"
    reach: str = ""


CASES = [
    Case("http_push, 1 MiB, constant", {"type": "http_push", "batch_size": 1 << 20}, CONSTANT, reach="5.0 M"),
    Case("http_push, 1 MiB, sawtooth", {"type": "http_push", "batch_size": 1 << 20}, SAWTOOTH),
    Case("http_push, 4 KiB (default), constant", {"type": "http_push"}, CONSTANT),
    Case("loki, 1000, text lines, constant", {"type": "loki", "batch_size": 1000}, CONSTANT, reach="1.5 M"),
    Case("loki, 1000, text lines, sawtooth", {"type": "loki", "batch_size": 1000}, SAWTOOTH),
    Case("loki, 1000, logs, JSON lines", {"type": "loki", "batch_size": 1000}, LOGS, "json_lines", "1.5 M"),
    Case("loki, 5 (default), text lines, constant", {"type": "loki"}, CONSTANT),
]


def read_only(announce: Connection) -> None:
    """Accept one connection after the other, read requests, answer 204; runs in a process of its own."""
    buffer = memoryview(bytearray(1 << 20))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        announce.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while answer_one(connection, buffer):
                    pass


def answer_one(connection: socket.socket, buffer: memoryview) -> bool:
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65536)
        if not received:
            return False
        head += received
    fields, _, body = head.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\ncontent-length: *(\d+)", fields)
    left = int(length[1]) - len(body) if length else 0
    while left > 0:
        left -= connection.recv_into(buffer)
    connection.sendall(ANSWER)
    return True


def measured(server: Served, case: Case, url: str, secs: int) -> tuple[float, float]:
    """Return events per second of one scenario, and encoded bytes per event."""
    fields: dict[str, Any] = {"duration": f"{secs}s", "encoder": {"type": case.encoder}}
    body = entry("m", case.source, UNREACHED, {**case.sink, "url": url}, **fields)
    if case.source is LOGS:
        del body["generator"]
        body |= {"signal_type": "logs", "log_generator": LOGS, "labels": {"job": "x"}}
    (row,) = server.post(body)
    time.sleep(secs)
    server.wait_finished([row], 30)
    stats = server.stats(row)
    server.delete([row])
    if stats["errors"]:
        raise SystemExit(f"{case.name}: {stats['last_sink_error']}")
    return stats["total_events"] / secs, stats["bytes_emitted"] / max(stats["total_events"], 1)


def plain_posts(port: int, body_bytes: int, secs: float = 1.0) -> float:
    """Return how many posts a second of a ready body the standard library's client makes over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = b"x" * body_bytes
    posts = 0
    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + secs:
        connection.request("POST", "/", body)
        connection.getresponse().read()
        posts += 1
    connection.close()
    return posts / (now - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the HTTP sinks")
    parser.add_argument("--secs", type=int, default=4)
    secs = parser.parse_args().secs
    peer_command = os.environ.get("PEER_SERVER")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    receiver = context.Process(target=read_only, args=(theirs,), daemon=True)
    receiver.start()
    port = ours.recv()
    url = f"http://127.0.0.1:{port}"
    print(f"{'':44}{'measured':>16}  {'to reach':10} beside")
    for case in CASES:
        with Served(OURS) as server:
            rate, event_bytes = measured(server, case, url, secs)
        batch = case.sink.get("batch_size", 4096 if case.sink["type"] == "http_push" else 5)
        per_post = batch if case.sink["type"] == "loki" else batch / event_bytes
        posts = plain_posts(port, round(per_post * event_bytes))
        beside = f"{rate / per_post / posts:.2f} × posting ready bodies"
        if peer_command:
            with Served(peer_command) as peer:
                beside += f", {rate / measured(peer, case, url, secs)[0]:.1f} × peer"
        print(f"{case.name:44}{rate / 1e6:>10.2f} M/s  {case.reach:10} {beside}", flush=True)
    receiver.terminate()


if __name__ == "__main__":
    main()
