"""Gates between two workers: how fast an edge takes effect, and what a gate costs.

Run as `python tests/bench/bench_gates.py`. An edge is the scheduled instant of the upstream's tick, so its own lateness
is part of the figure. Figures are good only on an idle machine.
"""

import os
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from common.messages import Follow, Start, Watch
from common.plan import EntryPlan, GatePlan
from common.specs import Constant, File, Sequence, Udp
from common.wire import send_with_descriptor
from tests.support.plans import entry_plan
from tests.support.worker_process import WorkerProcess, worker_processes

NS = 1_000_000_000
GATE = GatePlan(scenario_name=None, ref="up", op=">", value=0.5)


def start_wired(workers: list[WorkerProcess], up: EntryPlan, down: EntryPlan) -> int:
    """Start both at one instant, the second gated by the first; return the instant (monotonic ns)."""
    for worker, plan in zip(workers, (up, down), strict=True):
        worker.prepare(plan)
    bell = os.eventfd(0, os.EFD_NONBLOCK)
    send_with_descriptor(workers[0].connection, Watch(wire_id=0, op=GATE.op, value=GATE.value), bell)
    send_with_descriptor(workers[1].connection, Follow(row=0), bell)
    os.close(bell)
    start = Start(start_ns=time.monotonic_ns() + NS // 10, wall_ns=time.time_ns() + NS // 10)
    for worker in workers:
        worker.send(start)
    return start.start_ns


def edges(rate: float) -> tuple[list[float], list[float]]:
    """Return, in ms, open edge to first event and close edge to last event of all openings of five seconds.

    Args:
        rate: of the downstream; the upstream opens and closes every 20 ms.
    """
    opened: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, worker_processes(2) as workers:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(1)
        period_ms, openings = 40.0, 125
        up = entry_plan(rate=50.0, duration_ns=5 * NS, generator=Sequence(values=(0.0, 1.0)))
        sink = Udp(address=f"127.0.0.1:{receiver.getsockname()[1]}")
        start_ns = start_wired(workers, up, entry_plan(rate=rate, duration_ns=5 * NS, gate=GATE, sink=sink))
        newest = [-1.0] * openings
        while True:
            try:
                receiver.recv(1000)
            except TimeoutError:
                break
            at_ms = (time.monotonic_ns() - start_ns) / 1e6 - period_ms / 2
            opening = int(at_ms // period_ms)
            if 0 <= opening < openings:
                if newest[opening] < 0:
                    opened.append(at_ms % period_ms)
                newest[opening] = at_ms % period_ms
    return sorted(opened), sorted(max(at_ms - period_ms / 2, 0.0) for at_ms in newest if at_ms >= 0)


def paused_cost() -> tuple[int, float]:
    """Return wake-ups and processor time (us) of a paused worker in two seconds, with an upstream of 1 000 ticks/s."""
    with worker_processes(2) as workers:
        up = entry_plan(rate=1000.0, generator=Constant(value=0.0))
        start_wired(workers, up, entry_plan(rate=1000.0, duration_ns=3600 * NS, gate=GATE))
        statistics = Path(f"/proc/{workers[1].process.pid}/schedstat")
        time.sleep(0.5)
        before = [int(field) for field in statistics.read_text().split()]
        time.sleep(2)
        after = [int(field) for field in statistics.read_text().split()]
    return after[2] - before[2], (after[0] - before[0]) / 1000


def events(rate: float, *, is_gated: bool) -> int:
    """Return how many events a worker delivers in two seconds, ungated or with a gate that stays open."""
    with worker_processes(2) as workers:
        gate = GATE if is_gated else None
        down = entry_plan(rate=rate, duration_ns=2 * NS, gate=gate, sink=File(path="/dev/null"))
        start_wired(workers, entry_plan(rate=100.0, duration_ns=3 * NS, generator=Constant(value=1.0)), down)
        workers[1].finished(30)
        return workers[1].counters().total_events


def main() -> None:
    for rate in (100.0, 1000.0):
        opened, closed = edges(rate)
        for name, latencies in (("open edge to first event", opened), ("close edge to last event", closed)):
            p50, p99 = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
            print(f"{name:26}{rate:7,.0f}/s   p50 {p50:6.3f} ms   p99 {p99:6.3f} ms   worst {latencies[-1]:6.3f} ms")
    wake_ups, spent_us = paused_cost()
    print(f"paused for 2 s: {wake_ups} wake-ups, {spent_us:.0f} us of processor time")
    for rate in (2000.0, 1e6, 1e9):
        gated, ungated = events(rate, is_gated=True), events(rate, is_gated=False)
        print(f"events at {rate:13,.0f}/s: gated {gated:10,}, ungated {ungated:10,}, {gated / ungated:7.2%}")


if __name__ == "__main__":
    main()
