"""200 000 events to sinks that write at once: what is counted as taken was handed over, once, and whole."""

import random
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

from common.board import Counters
from common.plan import EntryPlan
from common.specs import File, Retry, SinkSpec, Step, Tcp, Udp
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.receiver import ABORT
from tests.support.worker_process import WorkerProcess, worker_processes

EVENTS = 200_000
# Not in the socket module. Source: Linux, asm-generic/socket.h
SO_RXQ_OVFL = 40
PATIENT = Retry(max_attempts=100, initial_backoff="1ms", max_backoff="20ms")


def entry(sink: SinkSpec, rate: float = 1e6) -> EntryPlan:
    return entry_plan(name="m", rate=rate, generator=Step(step_size=1.0), sink=sink)


def fired(worker: WorkerProcess) -> int:
    counters = worker.counters()
    return counters.total_events + counters.errors


def stop(worker: WorkerProcess) -> Counters:
    """Stop; every event is acknowledged or lost."""
    worker.stop()
    assert worker.finished().reason == "stopped"
    assert worker.ended() == 0
    counters = worker.counters()
    assert counters.acknowledged_events == counters.total_events
    assert counters.lost_events == counters.errors
    assert counters.rejected_events == 0
    return counters


def ticks_in(text: bytes) -> list[int]:
    """Return the ticks of whole lines."""
    return [int(line.split()[1]) for line in text.split(b"\n")[:-1]]


def test_a_file_on_a_full_disk_has_every_line_that_was_counted(small_disk: Path) -> None:
    """The disk is full, has room, is full again: whole lines in order, and the rest is lost and counted."""
    filler, path = small_disk / "filler", small_disk / "out"
    filler.write_bytes(b"x" * 1_000_000)
    with worker_processes() as (worker,):
        worker.start(entry(File(path=str(path))))
        wait_until(lambda: worker.counters().lost_events > EVENTS // 2, "the disk is full", 60)
        filler.unlink()
        before = worker.counters().acknowledged_events
        wait_until(lambda: worker.counters().acknowledged_events > before + 1000, "there is room again", 60)
        wait_until(lambda: fired(worker) >= EVENTS, f"{EVENTS} events", 60)
        counters = stop(worker)
        text = path.read_bytes()
        assert text.endswith(b"\n")
        ticks = ticks_in(text)
        assert len(ticks) == counters.acknowledged_events
        assert ticks == sorted(set(ticks))
        assert counters.lost_events > EVENTS // 2


class _Peer:
    """Reads lines from one connection after the other, and cuts most of them in the middle."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.patient = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        draw = random.Random(7)
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self.texts.append(self._read(connection, draw))

    def _read(self, connection: socket.socket, draw: random.Random) -> bytes:
        parts, left = [], draw.randrange(1, 200_000)
        while self.patient or left > 0:
            part = connection.recv(65536)
            if not part:
                break
            parts.append(part)
            left -= len(part)
        else:
            if draw.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        return b"".join(parts)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._listener.close()


def test_a_tcp_peer_that_cuts_connections_gets_nothing_twice() -> None:
    """At most once: what it has is in order and was counted; a cut swallows what the systems of both had taken."""
    peer = _Peer()
    try:
        with worker_processes() as (worker,):
            worker.start(entry(Tcp(address=f"127.0.0.1:{peer.port}", retry=PATIENT)))
            wait_until(lambda: fired(worker) >= EVENTS, f"{EVENTS} events", 120)
            peer.patient = True
            counters = stop(worker)
    finally:
        peer.close()
    assert len(peer.texts) > 5
    assert counters.in_doubt_events <= counters.acknowledged_events
    ticks = [tick for text in peer.texts for tick in ticks_in(text)]
    assert ticks == sorted(set(ticks))
    assert len(ticks) <= counters.acknowledged_events
    assert max(ticks) < counters.acknowledged_events + counters.lost_events
    # Every connection begins with a whole line, also behind a cut in the middle of one.
    assert all(text.startswith(b"m ") for text in peer.texts if text)


def test_a_patient_tcp_peer_has_everything() -> None:
    """Whatever it is given, in any pieces, is what was counted."""
    peer = _Peer()
    peer.patient = True
    try:
        with worker_processes() as (worker,):
            worker.start(entry(Tcp(address=f"127.0.0.1:{peer.port}")))
            wait_until(lambda: fired(worker) >= EVENTS, f"{EVENTS} events", 120)
            counters = stop(worker)
        wait_until(lambda: peer.texts, "the connection has ended")
    finally:
        peer.close()
    assert ticks_in(peer.texts[0]) == list(range(counters.acknowledged_events))
    assert (counters.errors, counters.in_doubt_events) == (0, 0)


def test_a_udp_peer_has_every_datagram_that_its_system_kept() -> None:
    """A datagram is taken when it was sent; those that are missing are the ones that the receiving socket dropped."""
    counts: Counter[int] = Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(0.5)
        dropped, has_ended = 0, threading.Event()

        def read() -> None:
            nonlocal dropped
            while True:
                try:
                    datagram, notes, _, _ = receiver.recvmsg(2048, 64)
                except TimeoutError:
                    if has_ended.is_set():
                        return
                    continue
                for _, _, note in notes:
                    dropped = struct.unpack("I", note)[0]
                counts.update(ticks_in(datagram))

        with worker_processes() as (worker,):
            reading = threading.Thread(target=read)
            worker.start(entry(Udp(address=f"127.0.0.1:{receiver.getsockname()[1]}"), rate=100_000.0))
            reading.start()
            wait_until(lambda: fired(worker) >= EVENTS, f"{EVENTS} events", 120)
            counters = stop(worker)
            has_ended.set()
            reading.join(60)
    assert set(counts.values()) == {1}
    assert counters.errors == 0
    # The number of drops comes with the datagram behind them; those behind the last one are unknown.
    missing = counters.acknowledged_events - len(counts)
    assert dropped <= missing <= dropped + counters.acknowledged_events - 1 - max(counts)


def test_a_udp_peer_that_is_not_there_takes_everything() -> None:
    """Nobody hears of a closed port: all is sent, nothing is an error."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    with worker_processes() as (worker,):
        worker.start(entry(Udp(address=f"127.0.0.1:{port}")))
        wait_until(lambda: fired(worker) >= EVENTS, f"{EVENTS} events", 120)
        assert stop(worker).errors == 0
