"""A run of any length takes the same memory: real workers, measured by what each has for itself."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

import worker.sinks
from common.plan import Burst, Cycle, EntryPlan, Silence
from common.specs import (
    File,
    HttpPush,
    Kafka,
    Loki,
    Memory,
    OtlpEncoder,
    OtlpGrpc,
    OtlpHttp,
    PrometheusText,
    RemoteWriteEncoder,
    RemoteWriteSink,
    Sine,
    SinkSpec,
    Stdout,
    Tcp,
    Udp,
)
from tests.support.collector import Collector
from tests.support.mock_kafka import MockKafka
from tests.support.plans import entry_plan, label_spike
from tests.support.polling import wait_until
from tests.support.receiver import Receiver
from tests.support.worker_process import WorkerProcess, worker_processes

MS = 1_000_000
MOST_GROWTH_KIB = 256
"""Room for one batch of the largest size, which may come late; what is kept for each batch is a megabyte and more."""

DEVICE = File(path="/dev/null")
WINDOWS: dict[str, Any] = {
    "bursts": Burst(cycle=Cycle(every_ns=10 * MS, for_ns=3 * MS), multiplier=2.0),
    "gaps": Cycle(every_ns=50 * MS, for_ns=10 * MS),
    "gap_windows": (Silence(start_ns=100 * MS, end_ns=200 * MS),),
    "cardinality_spikes": (label_spike(Cycle(every_ns=7 * MS, for_ns=2 * MS)),),
}


def own_kib(worker: WorkerProcess) -> int:
    """Return how much memory a worker shares with nobody, neither the template nor the board."""
    lines = Path(f"/proc/{worker.process.pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Anonymous:")).split()[1])


def growth_kib(plan: EntryPlan, first: int, events: int) -> int:
    """Return by how much a worker grows over so many events, from the first on that count.

    Buffers that fill for a while, such as those of a client library, end to grow; what is kept of every event does not.
    So the growth is the smallest of three.
    """
    with worker_processes() as (worker,):
        worker.start(plan)

        def kib_at(count: int) -> int:
            wait_until(lambda: worker.counters().total_events >= count, f"{count} events", timeout_secs=120)
            return own_kib(worker)

        grown, before = [], kib_at(first)
        while len(grown) < 3 and (not grown or grown[-1] >= MOST_GROWTH_KIB):
            after = kib_at(worker.counters().total_events + events)
            grown.append(after - before)
            before = after
        worker.stop()
        assert worker.finished(30).reason == "stopped"
        return min(grown)


@contextmanager
def draining(kind: socket.SocketKind) -> Iterator[str]:
    """Read and forget whatever arrives at an address."""
    closing = threading.Event()

    def drain(connection: socket.socket) -> None:
        connection.settimeout(0.1)
        while not closing.is_set():
            with suppress(TimeoutError):
                connection.recv(1 << 16)

    def serve() -> None:
        with server if kind is socket.SOCK_DGRAM else server.accept()[0] as connection:
            drain(connection)

    with socket.socket(socket.AF_INET, kind) as server:
        server.settimeout(30)
        server.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            server.listen()
        reader = threading.Thread(target=serve)
        reader.start()
        try:
            yield "{}:{}".format(*server.getsockname())
        finally:
            closing.set()
            reader.join()


def test_a_paced_run_keeps_nothing_of_its_past() -> None:
    """Events are encoded ahead before each wait, some are given back, windows come and go: nothing stays."""
    plan = entry_plan(rate=60_000.0, generator=Sine(amplitude=50.0, period_secs=60.0, offset=50.0), sink=DEVICE)
    assert growth_kib(msgspec.structs.replace(plan, **WINDOWS), 30_000, 150_000) < MOST_GROWTH_KIB


def sink_of(kind: type, stack: ExitStack) -> SinkSpec:
    """Return a destination of this kind that takes everything."""
    if kind is Stdout:
        return Stdout()
    if kind is File:
        return DEVICE
    if kind is Memory:
        return Memory()
    if kind is Tcp:
        return Tcp(address=stack.enter_context(draining(socket.SOCK_STREAM)))
    if kind is Udp:
        return Udp(address=stack.enter_context(draining(socket.SOCK_DGRAM)))
    if kind is OtlpGrpc:
        collector = stack.enter_context(Collector())
        return OtlpGrpc(endpoint=collector.endpoint, signal_type="metrics", batch_size=1000)
    if kind is Kafka:
        return Kafka(brokers=stack.enter_context(MockKafka()).address, topic="t")
    receiver = stack.enter_context(Receiver())
    if kind is HttpPush:
        return HttpPush(url=receiver.url, batch_size=65_536)
    if kind is RemoteWriteSink:
        return RemoteWriteSink(url=receiver.url, batch_size=1000)
    if kind is OtlpHttp:
        return OtlpHttp(url=receiver.url, signal_type="metrics", batch_size=1000)
    assert kind is Loki, f"{kind.__name__} needs a destination here"
    return Loki(url=receiver.url, batch_size=1000)


@pytest.mark.parametrize("kind", worker.sinks.BUILDERS | worker.sinks.REQUESTERS, ids=lambda kind: kind.__name__)
def test_a_sink_keeps_nothing_of_what_it_has_delivered(kind: type) -> None:
    """Flat out, through every kind of sink there is."""
    with ExitStack() as stack:
        sink = sink_of(kind, stack)
        encoder = {RemoteWriteSink: RemoteWriteEncoder, OtlpGrpc: OtlpEncoder, OtlpHttp: OtlpEncoder}.get(
            kind, PrometheusText
        )()
        wave = Sine(amplitude=50.0, period_secs=60.0, offset=50.0)
        plan = entry_plan(rate=1e9, generator=wave, encoder=encoder, sink=sink)
        assert growth_kib(plan, 100_000, 200_000) < MOST_GROWTH_KIB
