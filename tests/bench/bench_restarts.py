"""Measures what a state directory costs, and how soon scenarios go on after a SIGKILL.

Each figure stands beside that of a daemon without a state directory in the same run.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator

from bench_server import OURS, percentile
from served import Served, entry

CONSTANT = {"type": "constant", "value": 42.0}
NOWHERE = {"type": "file", "path": "/dev/null"}
POSTS = 100
FLEET = 100
PACED_SECS = 3
PACED_PAIRS = 5


def posts_ms(server: Served) -> list[float]:
    """Return how long each POST of one slow scenario took, ascending, in ms."""
    took = []
    for number in range(POSTS):
        began = time.perf_counter()
        rows = server.post(entry(f"p{number}", CONSTANT, 1, NOWHERE))
        took.append((time.perf_counter() - began) * 1e3)
        server.delete(rows)
    return sorted(took)


def paced_cores(server: Served) -> float:
    """Return the processor time of one scenario of 1 000 events per second, in cores."""
    rows = server.post(entry("paced", CONSTANT, 1000, NOWHERE))
    time.sleep(1)
    before = server.stats(rows[0])["cpu_seconds"]
    time.sleep(PACED_SECS)
    used = server.stats(rows[0])["cpu_seconds"] - before
    server.delete(rows)
    return used / PACED_SECS


def first_event_secs(command: str) -> Iterator[float]:
    """Yield the time from a SIGKILL of everything until each of a fleet's scenarios has written again."""
    with Served(command) as server:
        rows = server.post(*(entry(f"f{number}", CONSTANT, 20, NOWHERE) for number in range(FLEET)))
        time.sleep(2)
        before = {row: server.stats(row)["total_events"] for row in rows}
        for process in server.processes():
            process.kill()
    killed = time.perf_counter()
    with Served(command) as server:
        waiting = set(rows)
        while waiting:
            listed = {row["id"] for row in server.call("GET", "/scenarios")["scenarios"]}
            for row in waiting & listed:
                if server.stats(row)["total_events"] > before[row]:
                    waiting.discard(row)
                    yield time.perf_counter() - killed
        server.delete(rows)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as directory:
        kept = f"{OURS} --state-dir {directory}/state"
        with Served(OURS) as without, Served(kept) as with_state:
            for name, server in (("without", without), ("with", with_state)):
                took = posts_ms(server)
                p50, p99 = statistics.median(took), percentile(took, 0.99)
                print(f"POST {name} a state directory: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
            print("  to reach: 2 ms more")
            # In turn: what else the machine does is the same for both.
            pairs = [(paced_cores(without), paced_cores(with_state)) for _ in range(PACED_PAIRS)]
            bare, durable = (statistics.median(cores) for cores in zip(*pairs, strict=True))
            times = statistics.median(durable / bare for bare, durable in pairs)
            print(f"1 x 1 000/s: {bare:.4f} cores without, {durable:.4f} with: {times:.2f} times, to reach 1")
        took = sorted(first_event_secs(f"{OURS} --on-restart hole --state-dir {directory}/fleet"))
        print(f"SIGKILL to the next event of {FLEET} scenarios: {took[0]:.2f} to {took[-1]:.2f} s, to reach 3 s")


if __name__ == "__main__":
    main()
