"""One worker process by itself: full speed, what a wake-up costs, and how late ticks are.

Run as `python tests/bench/bench_engine.py`. Full speed is compared with two yardsticks of the same run: a loop that
makes, formats and writes one event at a time, and raw writes of the same bytes. Figures are good only on an idle
machine.
"""

import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from yardsticks import per_event_loop, raw_write

from common.specs import (
    Constant,
    EncoderSpec,
    File,
    GeneratorSpec,
    JsonLines,
    PrometheusText,
    Sawtooth,
    Sequence,
    Sine,
    Udp,
    Uniform,
)
from tests.support.plans import entry_plan
from tests.support.worker_process import worker_processes

LABELS = {"instance": "host-01:9100", "job": "node", "region": "eu-west-1"}
NS = 1_000_000_000
SECONDS = 2

SPEED: list[tuple[str, GeneratorSpec, EncoderSpec]] = [
    ("constant", Constant(value=42.0), PrometheusText()),
    ("sawtooth", Sawtooth(min=0.0, max=100.0, period_secs=60.0), PrometheusText()),
    ("uniform", Uniform(min=0.0, max=100.0, seed=7), PrometheusText()),
    ("sequence", Sequence(values=(20.0, 20.0, 95.0, 95.5, 95.0, 20.0)), PrometheusText()),
    ("sine", Sine(amplitude=50.0, period_secs=60.0, offset=50.0), PrometheusText()),
    ("constant", Constant(value=42.0), JsonLines()),
]


def full_speed(path: str, generator: GeneratorSpec, encoder: EncoderSpec) -> tuple[float, float]:
    """Return events per second and bytes per event of a worker that never waits."""
    plan = entry_plan(
        name="bench",
        rate=1e9,
        duration_ns=SECONDS * NS,
        labels=LABELS,
        generator=generator,
        encoder=encoder,
        sink=File(path=path),
    )
    with worker_processes() as (worker,):
        worker.start(plan)
        worker.finished(30)
        counters = worker.counters()
    return counters.total_events / SECONDS, counters.bytes_emitted / counters.total_events


def wake_up_cost(rate: float) -> float:
    """Return the processor time of one wake-up with one tick, in microseconds."""

    def spent_ns(pid: int | None) -> int:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])

    plan = entry_plan(
        rate=rate,
        labels=LABELS,
        generator=Sine(amplitude=50.0, period_secs=60.0, offset=50.0),
        sink=File(path="/dev/null"),
    )
    with worker_processes() as (worker,):
        worker.start(plan)
        time.sleep(0.5)
        before_ns, before_events = spent_ns(worker.process.pid), worker.counters().total_events
        time.sleep(3)
        events = worker.counters().total_events - before_events
        return (spent_ns(worker.process.pid) - before_ns) / events / 1000


def lateness_ms(rate: float) -> tuple[float, float]:
    """Return p50 and p99 of arrival less scheduled instant, in milliseconds, seen by the receiver of datagrams."""
    late: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, worker_processes() as (worker,):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        receiver.bind(("127.0.0.1", 0))
        start_ns = worker.start(
            entry_plan(
                rate=rate,
                duration_ns=3 * NS,
                # A sawtooth whose value is the time since the start, in seconds.
                generator=Sawtooth(min=0.0, max=3600.0, period_secs=3600.0),
                sink=Udp(address=f"127.0.0.1:{receiver.getsockname()[1]}"),
            )
        )
        receiver.settimeout(1)
        for _ in range(int(rate * 3)):
            try:
                datagram = receiver.recv(1000)
            except TimeoutError:
                print(f"{int(rate * 3) - len(late)} datagrams are missing")
                break
            late.append((time.monotonic_ns() - start_ns) / 1e6 - float(datagram.split()[1]) * 1e3)
    late.sort()
    return late[len(late) // 2], late[len(late) * 99 // 100]


def main() -> None:
    print(f"{'full speed':24}{'destination':>13}{'lines/s':>13}{'× loop':>9}{'of raw write':>14}")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        for name, generator, encoder in SPEED:
            kind = "json_lines" if isinstance(encoder, JsonLines) else "prometheus_text"
            loop = per_event_loop(name, kind)
            for where, path in (("/dev/null", "/dev/null"), ("memory", f"{memory}/out")):
                rate, size = full_speed(path, generator, encoder)
                share = rate / raw_write(path, round(size))
                title = name if kind == "prometheus_text" else f"{name} {kind}"
                print(f"{title:24}{where:>13}{rate:13,.0f}{rate / loop:9.1f}{share:14.1%}", flush=True)
                Path(f"{memory}/out").unlink(missing_ok=True)
    print("\nprocessor time of a wake-up with one tick")
    for rate in (100.0, 1000.0, 4000.0):
        print(f"{rate:8,.0f}/s {wake_up_cost(rate):8.1f} us", flush=True)
    print("\nlateness, scheduled instant to arrival by udp")
    for rate in (100.0, 1000.0, 10_000.0):
        p50, p99 = lateness_ms(rate)
        print(f"{rate:8,.0f}/s   p50 {p50:6.3f} ms   p99 {p99:6.3f} ms", flush=True)


if __name__ == "__main__":
    main()
