"""Measures what it costs to be on time, far below full speed: in cores, each as a multiple of another server's.

    .venv/bin/python tests/bench/bench_paced.py [--only paced,fleets,many,overload] [--secs 4]

PEER_SERVER names the binary of the other server, measured in the same run. Close everything else first.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator

from served import Served, entry

OURS = f"{os.path.dirname(sys.executable)}/sonda-server --allow-path /dev"
SAWTOOTH = {"type": "sawtooth", "min": 0.0, "max": 100.0, "period_secs": 60}
NULL = {"type": "file", "path": "/dev/null"}
BODY_ENTRIES = 50

Line = tuple[str, str, str]
"""What was measured, the figure, what is to be reached."""


def post_fleet(server: Served, count: int, rate: float, isolation: str | None) -> list[str]:
    more = {} if isolation is None else {"isolation": isolation}
    entries = [entry(f"f{number}", SAWTOOTH, rate, NULL, **more) for number in range(count)]
    return [
        row for first in range(0, count, BODY_ENTRIES) for row in server.post(*entries[first : first + BODY_ENTRIES])
    ]


def cores(server: Served, count: int, rate: float, secs: float, isolation: str | None = None) -> tuple[float, float]:
    """Return the cores that so many scenarios take, and the share of their events that came."""
    rows = post_fleet(server, count, rate, isolation)
    time.sleep(2)
    before, started, cpu = sum(server.stats(row)["total_events"] for row in rows), time.monotonic(), server.cpu_secs()
    time.sleep(secs)
    used, passed = server.cpu_secs() - cpu, time.monotonic() - started
    events = sum(server.stats(row)["total_events"] for row in rows) - before
    elapsed = time.monotonic() - started
    server.delete(rows)
    return used / passed, events / (count * rate * elapsed)


def compared(peer: Served | None, secs: float, cases: list[tuple[int, float, str, str]]) -> Iterator[Line]:
    others: dict[tuple[int, float], float] = {}
    for count, rate, isolation, reach in cases:
        with Served(OURS) as ours:
            taken, came = cores(ours, count, rate, secs, isolation)
        text = f"{taken:.3f} cores, {came:.1%} of the events"
        if peer is not None:
            if (count, rate) not in others:
                others[count, rate] = cores(peer, count, rate, secs)[0]
            text += f", {taken / max(others[count, rate], 1e-9):.2f} × peer ({others[count, rate]:.3f})"
        yield f"{count} × {rate:g}/s, {isolation}", text, reach


def paced(peer: Served | None, secs: float) -> Iterator[Line]:
    """One scenario, and some."""
    yield from compared(
        peer,
        secs,
        [
            (1, 1000, "process", "1.5 × peer"),
            (1, 10_000, "process", "2 × peer"),
            (20, 1000, "process", ""),
            (20, 1000, "shared", "1 × peer"),
            (10, 10_000, "process", ""),
            (10, 10_000, "shared", "1 × peer"),
        ],
    )


def fleets(peer: Served | None, secs: float) -> Iterator[Line]:
    """A hundred, and a thousand."""
    yield from compared(
        peer,
        secs,
        [(100, 1000, "shared", "1 × peer"), (100, 1000, "process", "2.5 × peer"), (1000, 100, "shared", "1 × peer")],
    )


def many(_peer: Served | None, secs: float) -> Iterator[Line]:
    """Memory and start of shared scenarios and of processes; ten thousand at once."""
    for count, rate, isolation, reach in (
        (512, 10.0, "shared", "1 s, 150 KB each"),
        (512, 10.0, "process", "5 s, 4500 KB each"),
        (10_000, 1.0, "shared", "0.3 core, 200 KB each, stops in 6 s"),
    ):
        with Served(OURS) as ours:
            time.sleep(2)
            private, started = ours.private_bytes(), time.monotonic()
            post_fleet(ours, count, rate, isolation)
            while any(row["state"] != "running" for row in ours.call("GET", "/scenarios")["scenarios"]):
                time.sleep(0.01)
            ready = time.monotonic() - started
            time.sleep(3)
            cpu = ours.cpu_secs()
            time.sleep(secs)
            taken, each = (ours.cpu_secs() - cpu) / secs, (ours.private_bytes() - private) / count
            stopping = time.monotonic()
        stopped = time.monotonic() - stopping
        text = f"{ready:.2f} s to run, {each / 1000:.0f} KB each, {taken:.3f} cores, stopped in {stopped:.1f} s"
        yield f"{count} × {rate:g}/s, {isolation}", text, reach


def overload(_peer: Served | None, secs: float) -> Iterator[Line]:
    """A thousand processes at 100/s: what is answered, and how late ticks are."""
    with Served(OURS) as ours:
        rows = post_fleet(ours, 1000, 100, "process")
        time.sleep(5)
        probes = []
        until = time.monotonic() + secs
        while time.monotonic() < until:
            began = time.monotonic()
            ours.text("/health")
            probes.append(time.monotonic() - began)
        probes.sort()
        health = ours.text("/health")
        began = time.monotonic()
        ours.delete(rows[:1])
        deleted = time.monotonic() - began
        late = ours.stats(rows[1])["lateness_p99_secs"]
        stopping = time.monotonic()
    stopped = time.monotonic() - stopping
    yield "GET /health, p99", f"{probes[int(0.99 * len(probes))] * 1e3:.0f} ms, {health}", "100 ms"
    yield "DELETE", f"{deleted:.2f} s", "5 s"
    yield "lateness of one, p99", f"{0 if late is None else late * 1e3:.0f} ms", ""
    yield "SIGTERM", f"{stopped:.1f} s", "6 s"


def main() -> None:
    parts = {"paced": paced, "fleets": fleets, "many": many, "overload": overload}
    parser = argparse.ArgumentParser(description="measure what being on time costs")
    parser.add_argument("--only", default=",".join(parts), help="comma list of " + ", ".join(parts))
    parser.add_argument("--secs", type=float, default=4)
    given = parser.parse_args()
    binary = os.environ.get("PEER_SERVER")
    for name in given.only.split(","):
        peer = Served(binary) if binary and name in ("paced", "fleets") else None
        for what, figure, reach in parts[name](peer, given.secs):
            print(f"{what:32} {figure:72} {reach}", flush=True)
        if peer is not None:
            peer.__exit__()


if __name__ == "__main__":
    main()
