"""Measures a live server over HTTP, from POST to the last byte, and prints each figure beside what is to be reached.

    .venv/bin/python tests/bench/bench_server.py [--only rates,two,late,fleets,start,memory] [--secs 4]

PEER_SERVER names the binary of another server of the same API, measured in the same run. Close everything else first.
"""

import argparse
import contextlib
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil
from served import MeasurementError, Served, entry
from yardsticks import per_event_loop, raw_write

OURS = f"{os.path.dirname(sys.executable)}/sonda-server --allow-path /dev"
SHM_FILE = "/dev/shm/sondad-bench"
# As fast as it goes: no machine reaches this many events per second.
UNREACHED = 2e8

GENERATORS: dict[str, dict[str, Any]] = {
    "constant": {"type": "constant", "value": 42.0},
    "sawtooth": {"type": "sawtooth", "min": 0.0, "max": 100.0, "period_secs": 60},
    "uniform": {"type": "uniform", "min": 0.0, "max": 100.0, "seed": 7},
    "sequence": {"type": "sequence", "values": [20, 20, 95, 95.5, 95, 20], "repeat": True},
    "sine": {"type": "sine", "amplitude": 50.0, "period_secs": 60, "offset": 50.0},
}


@dataclass
class Figure:
    """One line of the table: what was measured, how, and what is to be reached."""

    name: str
    text: str
    reach: str
    beside: str = ""


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def full_speed(server: Served, count: int, secs: int, path: str, generator: str, encoder: str) -> tuple[float, float]:
    """Return events per second of `count` scenarios together, and bytes per event."""
    rows = server.post(
        *(
            entry(
                f"m{index}",
                GENERATORS[generator],
                UNREACHED,
                {"type": "file", "path": path},
                duration=f"{secs}s",
                encoder={"type": encoder},
            )
            for index in range(count)
        )
    )
    time.sleep(secs)
    server.wait_finished(rows, 30)
    stats = [server.stats(row) for row in rows]
    server.delete(rows)
    events = sum(row["total_events"] for row in stats)
    return events / secs, sum(row["bytes_emitted"] for row in stats) / max(events, 1)


def rates(ours: Served, peer: Served | None, secs: int) -> Iterator[Figure]:
    """One scenario as fast as it goes, with three labels, into a file."""
    reaches = {"sine": "6.0 M"}
    cases = [(generator, "prometheus_text", "/dev/null") for generator in GENERATORS]
    cases += [("constant", "json_lines", "/dev/null"), ("sawtooth", "prometheus_text", SHM_FILE)]
    for generator, encoder, path in cases:
        rate, line_bytes = full_speed(ours, 1, secs, path, generator, encoder)
        ratios = [f"{rate / per_event_loop(generator, encoder):.1f} × loop"]
        if path == SHM_FILE:
            ratios.append(f"{rate / raw_write(path, round(line_bytes)):.2f} × raw write()")
        if peer:
            ratios.append(f"{rate / full_speed(peer, 1, secs, path, generator, encoder)[0]:.1f} × peer")
        reach = "6.0 M" if encoder == "json_lines" else reaches.get(generator, "8.0 M, 20 × loop, 4 × peer")
        where = "tmpfs" if path == SHM_FILE else "null device"
        yield Figure(f"{generator}, {encoder}, {where}", f"{rate / 1e6:.2f} M lines/s", reach, ", ".join(ratios))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(SHM_FILE)


def two(ours: Served, peer: Served | None, secs: int) -> Iterator[Figure]:
    """Two scenarios against one."""
    for name, server in (("ours", ours), ("peer", peer)):
        if server:
            one, both = (
                full_speed(server, count, secs, "/dev/null", "sawtooth", "prometheus_text")[0] for count in (1, 2)
            )
            yield Figure(f"two scenarios, {name}", f"{both / one:.2f} × one", "1.8" if name == "ours" else "")


@contextlib.contextmanager
def receiver() -> Iterator[socket.socket]:
    """A datagram socket whose arrivals the kernel stamps."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(2)
        yield listener


# Not in the socket module; Source: Linux, asm-generic/socket.h
_SO_TIMESTAMPNS = 35


def lateness_ms(server: Served, rate: int, secs: int) -> tuple[list[float], int]:
    """Return how far behind the earliest one's grid each datagram arrived, ordered; and how many were lost."""
    with receiver() as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        step = {"type": "step", "start": 0, "step_size": 1}
        rows = server.post(entry("late", step, rate, {"type": "udp", "address": address}, duration=f"{secs}s"))
        offsets = []
        with contextlib.suppress(TimeoutError):
            while True:
                datagram, ancillary, _, _ = listener.recvmsg(2048, 64)
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                tick = int(float(datagram.rsplit(b" ", 2)[-2]))
                offsets.append(seconds * 10**9 + nanoseconds - tick * 1e9 / rate)
        server.delete(rows)
    earliest = min(offsets)
    return sorted((offset - earliest) / 1e6 for offset in offsets), rate * secs - len(offsets)


def late(ours: Served, peer: Served | None, secs: int) -> Iterator[Figure]:
    """How late events leave."""
    for rate in (100, 1_000, 10_000):
        for name, server in (("ours", ours), ("peer", peer)):
            if server:
                behind, lost = lateness_ms(server, rate, secs)
                text = f"p50 {percentile(behind, 0.5):.3f} ms, p99 {percentile(behind, 0.99):.3f} ms"
                reach = "p50 < 0.3 ms, p99 ≤ peer's" if name == "ours" else ""
                yield Figure(f"lateness at {rate}/s, {name}", text, reach, f"{lost} lost" if lost else "")


def readings(server: Served, rows: list[str]) -> list[tuple[float, int]]:
    """Return for each row when it was asked, in seconds, and its total of events."""
    return [(time.monotonic(), server.stats(row)["total_events"]) for row in rows]


def fleets(ours: Served, peer: Served | None, secs: int) -> Iterator[Figure]:
    """Many scenarios at once: what is dropped and what it costs."""
    for count, rate, reach in ((100, 1_000, "≤ 0.6 core"), (1_000, 100, "≤ 1 core")):
        for name, server in (("ours", ours), ("peer", peer)):
            if not server:
                continue
            before = server.private_bytes()
            rows = []
            for start in range(0, count, 50):
                sink = {"type": "file", "path": "/dev/null"}
                rows += server.post(
                    *(entry(f"f{index}", GENERATORS["sawtooth"], rate, sink) for index in range(start, start + 50))
                )
            time.sleep(3)
            before_events, cpu, begin = readings(server, rows), server.cpu_secs(), time.monotonic()
            time.sleep(secs)
            cpu, wall = server.cpu_secs() - cpu, time.monotonic() - begin
            shares = [
                (events_after - events) / (rate * (at_after - at))
                for (at, events), (at_after, events_after) in zip(before_events, readings(server, rows), strict=True)
            ]
            memory_mb = (server.private_bytes() - before) / count / 1e6
            server.delete(rows)
            yield Figure(
                f"{count} scenarios at {rate}/s, {name}",
                f"{cpu / wall:.2f} core, {sum(shares) / count:.1%} of the events",
                f"{reach}, nothing dropped" if name == "ours" else "",
                f"{memory_mb:.1f} MB private each",
            )


def start(ours: Served, peer: Served | None, secs: int) -> Iterator[Figure]:
    """From POST to 201 and to the first datagram, and DELETE; one after another, the pool warm."""
    for name, server in (("ours", ours), ("peer", peer)):
        if not server:
            continue
        created, first, deleted = [], [], []
        with receiver() as listener:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            for index in range(25 * secs):
                item = entry(f"s{index}", GENERATORS["constant"], 10, {"type": "udp", "address": address})
                begin = time.perf_counter()
                rows = server.post(item)
                created.append((time.perf_counter() - begin) * 1e3)
                while not listener.recv(2048).startswith(f"s{index}{{".encode()):
                    pass
                first.append((time.perf_counter() - begin) * 1e3)
                begin = time.perf_counter()
                server.delete(rows)
                deleted.append((time.perf_counter() - begin) * 1e3)
        for what, times, reach in (
            ("POST to 201", created, "p50 < 10 ms"),
            ("POST to first event", first, "p50 < 10 ms"),
            ("DELETE", deleted, "p50 < 12 ms"),
        ):
            times.sort()
            text = f"p50 {percentile(times, 0.5):.2f} ms, p99 {percentile(times, 0.99):.2f} ms"
            yield Figure(f"{what}, {name}", text, reach if name == "ours" else "")


def memory(ours: Served, _peer: Served | None, _secs: int) -> Iterator[Figure]:
    """Private memory of running workers, each by itself."""
    sink = {"type": "file", "path": "/dev/null"}
    rows = ours.post(*(entry(f"p{index}", GENERATORS["sine"], 1_000, sink) for index in range(20)))
    time.sleep(2)
    running = [process for process in ours.processes() if "scenario p" in _title(process)]
    private_mb = sorted(process.memory_full_info().uss / 1e6 for process in running)
    ours.delete(rows)
    if private_mb:
        text = f"p50 {percentile(private_mb, 0.5):.2f} MB, most {private_mb[-1]:.2f} MB"
        yield Figure("private memory of a running worker", text, "≤ 6 MB", f"{len(private_mb)} workers")


def _title(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


PARTS: dict[str, Callable[[Served, Served | None, int], Iterator[Figure]]] = {
    "rates": rates,
    "two": two,
    "late": late,
    "fleets": fleets,
    "start": start,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="measure a live server")
    parser.add_argument("--only", default=",".join(PARTS), help="comma list of " + ", ".join(PARTS))
    parser.add_argument("--secs", type=int, default=4, help="length of each measurement")
    options = parser.parse_args()
    peer_binary = os.environ.get("PEER_SERVER")
    print(f"{'figure':44} {'measured':44} {'to reach':28} beside")
    for part in options.only.split(","):
        with Served(OURS) as ours, Served(peer_binary) if peer_binary else contextlib.nullcontext() as peer:
            try:
                for figure in PARTS[part](ours, peer, options.secs):
                    print(f"{figure.name:44} {figure.text:44} {figure.reach:28} {figure.beside}", flush=True)
            except MeasurementError as exc:
                print(f"{part}: not measured to its end: {exc}", flush=True)


if __name__ == "__main__":
    main()
