"""Measures the control plane's answers: stats beside a scenario at full speed, the aggregate of a thousand scenarios.

    .venv/bin/python tests/bench/bench_http.py [--only stats,aggregate,events,page] [--secs 4] [--scenarios 1000]

PEER_SERVER names the binary of another server of the same API, measured in the same run. Close everything else first.
"""

import argparse
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from served import MeasurementError, Served, entry

OURS = f"{os.path.dirname(sys.executable)}/sonda-server --allow-path /"
CLIENTS = 8
PAGE_SECS = 2
# As fast as it goes: no machine reaches this many events per second.
UNREACHED = 2e8
CONSTANT = {"type": "constant", "value": 42.0}
NULL = {"type": "file", "path": "/dev/null"}


@dataclass
class Figure:
    """One line of the table: what was measured, how, and what is to be reached."""

    name: str
    text: str
    reach: str
    beside: str = ""


class Client:
    """One kept connection that asks the same thing again and again; as cheap as a client can be."""

    def __init__(self, port: int, request: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request

    def ask(self) -> tuple[float, int]:
        """Return how long the answer took, in seconds, and how long its body is."""
        begin = time.perf_counter()
        self._socket.sendall(self._request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(1 << 20)
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 2"):
            raise MeasurementError(head.decode())
        length, received = int(head.lower().split(b"content-length:")[1].split()[0]), len(body)
        while received < length:
            received += len(self._socket.recv(1 << 20))
        return time.perf_counter() - begin, length


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def _ask_for(port: int, request: bytes, secs: float, results: Connection) -> None:
    client, latencies, end = Client(port, request), [], time.monotonic() + secs
    while time.monotonic() < end:
        latencies.append(client.ask()[0])
    results.send(latencies)


def many_clients(port: int, request: bytes, secs: float) -> list[float]:
    """Return the latencies, in order of length, of all answers that CLIENTS processes get in `secs`."""
    pipes, processes = [], []
    for _ in range(CLIENTS):
        ours, theirs = multiprocessing.Pipe(duplex=False)
        pipes.append(ours)
        processes.append(multiprocessing.Process(target=_ask_for, args=(port, request, secs, theirs)))
        processes[-1].start()
    latencies = sorted(latency for pipe in pipes for latency in pipe.recv())
    for process in processes:
        process.join()
    return latencies


def spread(latencies: list[float]) -> str:
    middle, late = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    return f"p50 {middle * 1e3:.2f} ms, p99 {late * 1e3:.2f} ms"


def events_a_second(server: Served, row: str, secs: float) -> float:
    before, begin = server.stats(row)["total_events"], time.monotonic()
    time.sleep(secs)
    return (server.stats(row)["total_events"] - before) / (time.monotonic() - begin)


def stats(server: Served, secs: int, _scenarios: int) -> Iterator[Figure]:
    """Eight clients ask for the stats of a scenario that runs flat out on the other core."""
    (row,) = server.post(entry("flat", CONSTANT, UNREACHED, NULL))
    time.sleep(1)
    alone = events_a_second(server, row, secs)
    before, begin = server.stats(row)["total_events"], time.monotonic()
    latencies = many_clients(server.port, get(f"/scenarios/{row}/stats"), secs)
    beside = (server.stats(row)["total_events"] - before) / (time.monotonic() - begin)
    yield Figure(
        f"stats, {CLIENTS} clients beside full speed",
        f"{len(latencies) / secs:,.0f}/s, {spread(latencies)}",
        "2 000/s",
        f"the scenario keeps {beside / alone:.0%} of its speed",
    )
    latencies = many_clients(server.port, get("/health"), secs)
    yield Figure(
        f"health, {CLIENTS} clients beside full speed", f"{len(latencies) / secs:,.0f}/s, {spread(latencies)}", ""
    )
    server.delete([row])


def aggregate(server: Served, secs: int, scenarios: int) -> Iterator[Figure]:
    """One client asks for the newest values of many scenarios, while they emit."""
    rows = []
    for start in range(0, scenarios, 50):
        rows += server.post(
            *(entry(f"f{index}", CONSTANT, 10, NULL) for index in range(start, min(start + 50, scenarios)))
        )
    time.sleep(3)
    quiet, quiet_cpu = _lateness(server), _cores(server, secs)
    client, answers, end = Client(server.port, get("/scenarios/metrics")), [], time.monotonic() + secs
    cpu, begin = server.cpu_secs(), time.monotonic()
    while time.monotonic() < end:
        answers.append(client.ask())
        # A scrape job asks every few seconds; here it is one a quarter of a second.
        time.sleep(0.25)
    busy_cpu = (server.cpu_secs() - cpu) / (time.monotonic() - begin)
    asked = _lateness(server)
    latencies = sorted(latency for latency, _ in answers)
    yield Figure(
        f"aggregate over {scenarios} scenarios",
        f"{spread(latencies)}, {answers[-1][1] / 1000:.0f} kB",
        "< 300 ms",
        f"cores {quiet_cpu:.2f} → {busy_cpu:.2f}" + (f", p99 lateness {quiet:.1f} → {asked:.1f} ms" if quiet else ""),
    )
    latencies = [Client(server.port, get("/metrics?own=1")).ask()[0] for _ in range(20)]
    yield Figure(f"own metrics over {scenarios} scenarios", spread(sorted(latencies)), "")
    server.delete(rows)


def page(server: Served, secs: int, scenarios: int) -> Iterator[Figure]:
    """What one open page costs the daemon itself: it asks for the table and the figures every two seconds."""
    rows = []
    for start in range(0, scenarios, 500):
        some = (entry(f"p{index}", CONSTANT, 1, NULL) for index in range(start, min(start + 500, scenarios)))
        rows += server.post(*({**one, "isolation": "shared"} for one in some))
    polls = [Client(server.port, get(path)) for path in ("/scenarios?stats=1", "/daemon")]
    for client in polls:
        client.ask()
    before, begin = server.own_cpu_secs(), time.monotonic()
    time.sleep(secs)
    idle = (server.own_cpu_secs() - before) / (time.monotonic() - begin)
    before, begin, answers = server.own_cpu_secs(), time.monotonic(), []
    for _ in range(max(secs // PAGE_SECS, 2)):
        answers.append([client.ask() for client in polls])
        time.sleep(PAGE_SECS)
    busy = (server.own_cpu_secs() - before) / (time.monotonic() - begin)
    table = sorted(asked[0][0] for asked in answers)
    yield Figure(
        f"a page over {scenarios} scenarios",
        f"{busy:.1%} of a core, {spread(table)}",
        "< 5 %",
        f"{idle:.1%} without it, {answers[-1][0][1] / 1000:.0f} kB a table",
    )
    server.delete(rows)


def _cores(server: Served, secs: float) -> float:
    cpu, begin = server.cpu_secs(), time.monotonic()
    time.sleep(secs)
    return (server.cpu_secs() - cpu) / (time.monotonic() - begin)


def _lateness(server: Served) -> float | None:
    """Return how late the latest hundredth of ticks was in the last second, in milliseconds; None where unknown."""
    for line in server.text("/metrics?own=1").splitlines():
        if line.startswith('sondad_tick_lateness_seconds{quantile="0.99"}'):
            return float(line.split()[1]) * 1e3
    return None


def events(server: Served, secs: int, _scenarios: int) -> Iterator[Figure]:
    """One client posts single events to a file, one after the other."""
    with tempfile.TemporaryDirectory() as directory:
        body = (
            '{"signal_type":"logs","labels":{},"log":{"severity":"info","message":"hello"},'
            f'"encoder":{{"type":"json_lines"}},"sink":{{"type":"file","path":"{directory}/out"}}}}'
        )
        request = f"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        client, end, latencies = Client(server.port, request), time.monotonic() + secs, []
        while time.monotonic() < end:
            latencies.append(client.ask()[0])
    yield Figure("single event to a file", spread(sorted(latencies)), "p50 < 15 ms")


PARTS: dict[str, Callable[[Served, int, int], Iterator[Figure]]] = {
    "stats": stats,
    "aggregate": aggregate,
    "events": events,
    "page": page,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="measure the answers of a live server")
    parser.add_argument("--only", default=",".join(PARTS), help="comma list of " + ", ".join(PARTS))
    parser.add_argument("--secs", type=int, default=4, help="length of each measurement")
    parser.add_argument("--scenarios", type=int, default=1000, help="how many scenarios the aggregate is over")
    options = parser.parse_args()
    peer = os.environ.get("PEER_SERVER")
    print(f"{'figure':44} {'measured':44} {'to reach':12} beside")
    for part in options.only.split(","):
        for name, command in (("ours", OURS), ("peer", peer)):
            if command is None or (part == "page" and name == "peer"):
                continue
            try:
                with Served(command) as server:
                    for figure in PARTS[part](server, options.secs, options.scenarios):
                        reach = figure.reach if name == "ours" else ""
                        print(f"{f'{figure.name}, {name}':44} {figure.text:44} {reach:12} {figure.beside}", flush=True)
            except MeasurementError as exc:
                print(f"{part}, {name}: not measured to its end: {exc}", flush=True)


if __name__ == "__main__":
    main()
