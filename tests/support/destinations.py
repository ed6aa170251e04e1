"""A real destination for every kind of sink: where the suite that runs over the table of sinks delivers to."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cramjam
import grpc

from common.specs import (
    File,
    HttpPush,
    Kafka,
    Loki,
    Memory,
    OtlpGrpc,
    OtlpHttp,
    RemoteWriteSink,
    SinkSpec,
    Spec,
    Stdout,
    Tcp,
    Udp,
)
from tests.support.collector import Collector
from tests.support.mock_kafka import MockKafka
from tests.support.receiver import ABORT, Answer, Receiver


@dataclass
class Destination:
    """Where one sink delivers to.

    Attributes:
        spec: the sink.
        arrived: returns everything that has arrived, once `enough` is there.
        ports: where it listens, on loopback.
        broken: the same sink on a destination that takes nothing; None for one that always takes all.
        breaks: what the destination of `broken` does once it has been opened.
    """

    spec: SinkSpec
    arrived: Callable[[], bytes] | None
    broken: SinkSpec | None
    ports: tuple[int, ...] = ()
    breaks: Callable[[], None] = lambda: None


@contextmanager
def file(folder: Path) -> Iterator[Destination]:
    path = folder / "sub" / "out"
    yield Destination(File(path=str(path)), path.read_bytes, File(path="/dev/full"))


@contextmanager
def stdout(folder: Path) -> Iterator[Destination]:
    """Descriptor 1 is a pipe meanwhile."""
    kept = os.dup(1)
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.close(writer)

    def arrived() -> bytes:
        os.dup2(kept, 1)
        parts = iter(lambda: os.read(reader, 65536), b"")
        return b"".join(parts)

    try:
        yield Destination(Stdout(), arrived, None)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(reader)


@contextmanager
def tcp(folder: Path) -> Iterator[Destination]:
    """One connection is read to its end; whoever connects to the broken one is reset."""
    parts: list[bytes] = []

    def read(connection: socket.socket) -> None:
        parts.extend(iter(lambda: connection.recv(65536), b""))

    def reset(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)

    with served(read) as (port, wait), served(reset) as (rude_port, _):

        def arrived() -> bytes:
            wait()
            return b"".join(parts)

        rude = Tcp(address=f"127.0.0.1:{rude_port}")
        yield Destination(Tcp(address=f"127.0.0.1:{port}"), arrived, rude, (port,))


@contextmanager
def served(serve: Callable[[socket.socket], None]) -> Iterator[tuple[int, Callable[[], None]]]:
    """Let `serve` have one connection; gives the port, and what waits until it has been served."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], lambda: thread.join(30)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(30)


@contextmanager
def udp(folder: Path) -> Iterator[Destination]:
    """One datagram is one record."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)

        def arrived() -> bytes:
            return b"".join(receiver.recv(65536) for _ in range(3))

        # The network's broadcast address needs a permission that the sink does not ask for.
        yield Destination(
            Udp(address=f"127.0.0.1:{receiver.getsockname()[1]}"), arrived, Udp(address="255.255.255.255:9")
        )


@contextmanager
def memory(folder: Path) -> Iterator[Destination]:
    yield Destination(Memory(capture=True), None, None)


@contextmanager
def http_push(folder: Path) -> Iterator[Destination]:
    with Receiver() as receiver, Receiver(lambda _: Answer(503)) as broken:
        spec = HttpPush(url=receiver.url)
        yield Destination(spec, lambda: b"".join(receiver.kept), HttpPush(url=broken.url), (receiver.port,))


@contextmanager
def loki(folder: Path) -> Iterator[Destination]:
    with Receiver() as receiver, Receiver(lambda _: Answer(503)) as broken:
        yield Destination(
            Loki(url=receiver.url), lambda: b"".join(receiver.kept), Loki(url=broken.url), (receiver.port,)
        )


@contextmanager
def remote_write(folder: Path) -> Iterator[Destination]:
    """What has arrived is shown uncompressed."""
    with Receiver() as receiver, Receiver(lambda _: Answer(503)) as broken:

        def arrived() -> bytes:
            return b"".join(bytes(cramjam.snappy.decompress_raw(body)) for body in receiver.kept)

        spec = RemoteWriteSink(url=receiver.url, batch_size=2)
        yield Destination(spec, arrived, RemoteWriteSink(url=broken.url, batch_size=1), (receiver.port,))


@contextmanager
def otlp_http(folder: Path) -> Iterator[Destination]:
    """What has arrived is shown as it is."""
    with Receiver() as receiver, Receiver(lambda _: Answer(503)) as broken:
        spec = OtlpHttp(url=receiver.url, signal_type="metrics")
        gone = OtlpHttp(url=broken.url, signal_type="metrics", batch_size=1)
        yield Destination(spec, lambda: b"".join(receiver.kept), gone, (receiver.port,))


@contextmanager
def otlp_grpc(folder: Path) -> Iterator[Destination]:
    """The same requests, by calls."""
    with Collector() as collector, Collector(lambda _: grpc.StatusCode.UNAVAILABLE) as broken:
        spec = OtlpGrpc(endpoint=collector.endpoint, signal_type="metrics")
        gone = OtlpGrpc(endpoint=broken.endpoint, signal_type="metrics", batch_size=1)
        yield Destination(spec, lambda: b"".join(collector.kept), gone, (collector.port, broken.port))


@contextmanager
def kafka(folder: Path) -> Iterator[Destination]:
    """The values of all records; the broken broker is one that has gone before anything was sent."""
    with MockKafka() as broker, MockKafka() as broken:
        topic = "fan"

        def arrived() -> bytes:
            return b"".join(record.value() or b"" for record in broker.records(topic))

        yield Destination(
            Kafka(brokers=broker.address, topic=topic),
            arrived,
            Kafka(brokers=broken.address, topic=topic),
            (broker.port, broken.port),
            broken.kill,
        )


DESTINATIONS: dict[type[Spec], Callable[[Path], AbstractContextManager[Destination]]] = {
    File: file,
    Stdout: stdout,
    Tcp: tcp,
    Udp: udp,
    Memory: memory,
    HttpPush: http_push,
    Loki: loki,
    RemoteWriteSink: remote_write,
    OtlpHttp: otlp_http,
    OtlpGrpc: otlp_grpc,
    Kafka: kafka,
}
