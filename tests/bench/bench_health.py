"""Measures how soon probes are answered while others ask for much: long bodies, full speed, idle connections.

    .venv/bin/python tests/bench/bench_health.py [--only bodies,scenarios,connections] [--secs 10]

Each probe opens a connection of its own, as load balancers and Kubernetes do. PEER_SERVER names the binary of another
server of the same API, measured in the same run. Close everything else first. As root the client is more urgent than
the servers.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

from served import MeasurementError, Served, entry

from common.scheduling import SHORT_SLICE_NS, ask_for_slices

OURS = f"{os.path.dirname(sys.executable)}/sonda-server --allow-path /"
NULL = {"type": "file", "path": "/dev/null"}
BODY_BYTES = 1_000_000
CLIENTS = 16
SCENARIOS = 200
CONNECTIONS = 5000
# As fast as it goes: no machine reaches this many events per second.
UNREACHED = 2e8
PROBE = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PAUSE_SECS = 0.02
TARGET = "p99 <= 100 ms, max <= 1 s"


def probe(port: int) -> float:
    """Return how many seconds one probe took, its connection included."""
    begin = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(PROBE)
        answer = b""
        while part := connection.recv(4096):
            answer += part
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise MeasurementError(answer[:200].decode())
    return time.perf_counter() - begin


def long_bodies() -> list[tuple[str, bytes]]:
    """Return bodies of a megabyte with their types: nested, with many fields, and with many entries that are valid."""
    nested = b'{"version":2,"x":[' + b",".join([b"[" * 100 + b"]" * 100] * (BODY_BYTES // 201)) + b"]}"
    fields = json.dumps({"version": 2, "scenarios": [{f"field{index}": index for index in range(50_000)}]}).encode()
    one = {"signal_type": "metrics", "name": "up", "rate": 1, "generator": {"type": "constant", "value": 1}}
    labels = {f"label{index}": "x" * 90 for index in range(20)}
    entries = [
        {"id": f"e{index}", **one, "labels": labels} for index in range(BODY_BYTES // (len(json.dumps(labels)) + 100))
    ]
    many = json.dumps({"version": 2, "scenarios": entries}).encode()
    return [
        ("application/json", nested),
        ("application/json", fields),
        ("application/json", many),
        ("application/yaml", many),
    ]


def _post_again_and_again(port: int) -> None:
    bodies = long_bodies()

    def post(client: int) -> None:
        for turn in itertools.count(client):
            kind, body = bodies[turn % len(bodies)]
            head = (
                f"POST /scenarios?dry_run=true HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 60) as connection:
                connection.sendall(head.encode() + body)
                while connection.recv(1 << 16):
                    pass

    for client in range(CLIENTS):
        threading.Thread(target=post, args=(client,), daemon=True).start()
    threading.Event().wait()


@contextmanager
def bodies(server: Served) -> Iterator[None]:
    load = multiprocessing.Process(target=_post_again_and_again, args=(server.port,), daemon=True)
    load.start()
    time.sleep(2)
    yield
    load.kill()
    load.join()


@contextmanager
def scenarios(server: Served) -> Iterator[None]:
    for _ in range(SCENARIOS):
        server.post(entry("up", {"type": "sine", "amplitude": 1, "period_secs": 60, "offset": 0}, UNREACHED, NULL))
    yield


@contextmanager
def connections(server: Served) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * CONNECTIONS), hard))
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30))
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


LOADS: dict[str, tuple[str, Callable]] = {
    "bodies": (f"{CLIENTS} clients, bodies of 1 MB", bodies),
    "scenarios": (f"{SCENARIOS} scenarios flat out", scenarios),
    "connections": (f"{CONNECTIONS} idle connections", connections),
}


def wait_for_nobody() -> None:
    """Let this thread have a processor at once, so that it is the server's waiting that is measured."""
    with suppress(PermissionError):
        ask_for_slices(SHORT_SLICE_NS)
        os.setpriority(os.PRIO_PROCESS, 0, -20)


def latencies_ms(port: int, secs: float) -> list[float]:
    """Return how long probes took, one after the other."""
    end, latencies = time.monotonic() + secs, []
    while time.monotonic() < end:
        latencies.append(probe(port) * 1e3)
        time.sleep(PAUSE_SECS)
    return latencies


def measure(command: str, load: Callable, secs: float) -> str:
    """Return the figures of one server under one load."""
    with Served(command) as server:
        probe(server.port)
        with load(server), ThreadPoolExecutor(1, initializer=wait_for_nobody) as thread:
            latencies = sorted(thread.submit(latencies_ms, server.port, secs).result())
    p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    return f"p50 {p50:7.1f}  p99 {p99:7.1f}  max {latencies[-1]:7.1f} ms  ({len(latencies)} probes)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(LOADS))
    parser.add_argument("--secs", type=float, default=10)
    arguments = parser.parse_args()
    commands = {"sondad": OURS, "peer": os.environ.get("PEER_SERVER", "")}
    for name in arguments.only.split(","):
        text, load = LOADS[name]
        for who, command in commands.items():
            if command:
                print(f"{text:32} {who:7} {measure(command, load, arguments.secs)}  {TARGET}", flush=True)


if __name__ == "__main__":
    main()
