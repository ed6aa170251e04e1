"""Receivers that only read and answer, each in a process of its own, and what a plain client reaches with them."""

import http.client
import multiprocessing
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

ANSWER = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
_SECS = 1.0
_RECORD_BYTES = 65_536


def read_only(announce: Connection) -> None:
    """Accept one connection after the other, read requests, answer 204."""
    buffer = memoryview(bytearray(1 << 20))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        announce.send(f"http://127.0.0.1:{listener.getsockname()[1]}")
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while _answer_one(connection, buffer):
                    pass


def _answer_one(connection: socket.socket, buffer: memoryview) -> bool:
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


def calls(announce: Connection) -> None:
    """Answer every gRPC call with nothing."""
    from concurrent import futures

    import grpc

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, _: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")

    options = [("grpc.max_receive_message_length", 64 << 20)]
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Handler()], options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    announce.send(f"http://127.0.0.1:{port}")
    server.wait_for_termination()


def brokers(announce: Connection) -> None:
    """Run the mock cluster of librdkafka: what a client costs, not what a broker can take."""
    from confluent_kafka import Producer

    cluster = Producer({"bootstrap.servers": "ignored:1", "test.mock.num.brokers": 1, "log_level": 3})
    found = cluster.list_topics("load", 10).brokers.values()
    announce.send(",".join(f"{one.host}:{one.port}" for one in found))
    while True:
        time.sleep(3600)


@contextmanager
def running(receiver: Callable[[Connection], None]) -> Iterator[str]:
    """Run a receiver; gives where it listens."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=receiver, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def plain_posts(address: str, body_bytes: int) -> float:
    """Return how many posts of a ready body the standard library makes for each second of its processor time."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    body = b"x" * body_bytes

    def post() -> None:
        connection.request("POST", "/", body)
        connection.getresponse().read()

    post()
    return _per_cpu_sec(post)


def plain_calls(address: str, body_bytes: int) -> float:
    """Return how many calls with a ready body gRPC makes for each second of processor time."""
    import grpc

    with grpc.insecure_channel(address.removeprefix("http://")) as channel:
        call = channel.unary_unary("/a/b")
        body = b"x" * body_bytes
        call(body)
        return _per_cpu_sec(lambda: call(body))


def plain_records(address: str, body_bytes: int) -> float:
    """Return how many ready records librdkafka delivers for each second of processor time."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": address, "linger.ms": 0})
    body = b"x" * body_bytes

    def produce() -> None:
        for _ in range(5):
            producer.produce("load", body)
        producer.flush()

    produce()
    return 5 * _per_cpu_sec(produce)


def _per_cpu_sec(work: Callable[[], None]) -> float:
    count, begin, until = 0, time.process_time(), time.perf_counter() + _SECS
    while time.perf_counter() < until:
        work()
        count += 1
    return count / (time.process_time() - begin)
