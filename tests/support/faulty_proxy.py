"""A relay of TCP connections to a real server that fails in every way a network can, as often as it is told to."""

import random
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Literal

from tests.support.receiver import ABORT

Fault = Literal["before", "within", "after", "delay", "hang"]
_FAULTS: tuple[Fault, ...] = ("before", "within", "after", "delay")
_CHUNK_BYTES = 65536


class FaultyProxy:
    """Listens on loopback and passes on what it gets, chunk by chunk.

    Args:
        upstream: port of the server behind it, on loopback; nobody need listen there all the time.
        share: how many of the chunks towards the server meet a fault: the connection is cut before the chunk is passed
            on, within it, or after it and before its answer, or the answer is late.
        seed: of the choice of faults.
        hangs: numbers of chunks, counted from 0, after which the connection stays open and silent for ever.

    Attributes:
        port: where it listens.
        met: how often each fault was met.
        upstream: as above; the server may come back on another port.
        healthy: set to pass on everything from now on.
    """

    def __init__(self, upstream: int, share: float, seed: int, hangs: frozenset[int] = frozenset()) -> None:
        self.met: Counter[Fault] = Counter()
        self.healthy = False
        self.upstream = upstream
        self._share = share
        self._random = random.Random(seed)
        self._hangs = hangs
        self._chunks = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """End all connections and threads."""
        self._closing.set()
        for one in list(self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def __enter__(self) -> "FaultyProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.upstream), 5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            self._sockets += [client, server]
            hung = threading.Event()
            for work in (self._towards_server, self._towards_client):
                thread = threading.Thread(target=work, args=(client, server, hung))
                self._threads.append(thread)
                thread.start()

    def _towards_server(self, client: socket.socket, server: socket.socket, hung: threading.Event) -> None:
        with suppress(OSError):
            while chunk := client.recv(_CHUNK_BYTES):
                fault = self._fault()
                if fault == "before":
                    break
                if fault == "within":
                    server.sendall(chunk[: len(chunk) // 2])
                    break
                if fault == "delay":
                    time.sleep(0.05)
                if fault in ("after", "hang"):
                    hung.set()
                server.sendall(chunk)
                if fault == "after":
                    break
                if fault == "hang":
                    return
        self._cut(client, server)

    def _towards_client(self, client: socket.socket, server: socket.socket, hung: threading.Event) -> None:
        with suppress(OSError):
            while chunk := server.recv(_CHUNK_BYTES):
                if hung.is_set():
                    # The server has done its work, and nobody hears of it.
                    return
                client.sendall(chunk)
        if not hung.is_set():
            self._cut(client, server)

    def _fault(self) -> Fault | None:
        with self._lock:
            number, self._chunks = self._chunks, self._chunks + 1
            if self.healthy or (number not in self._hangs and self._random.random() >= self._share):
                return None
            fault: Fault = "hang" if number in self._hangs else self._random.choice(_FAULTS)
            self.met[fault] += 1
            return fault

    def _cut(self, client: socket.socket, server: socket.socket) -> None:
        if self._random.random() < 0.5:
            with suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        for one in (client, server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
