"""The file, tcp and udp sinks against real files and sockets, with the worker's real waiting."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import SinkError, SinkOpenError
from common.specs import File, Retry, Tcp, Udp
from tests.support.plans import entry_plan
from tests.support.polling import wait_until
from tests.support.station import Station
from tests.support.worker_process import worker_processes
from worker.sinks import Sink
from worker.ticks.batch import Encoded

NS = 1_000_000_000
RETRY = Retry(max_attempts=3, initial_backoff="10ms", max_backoff="20ms")


def encoded(*lines: bytes) -> Encoded:
    return Encoded(payload=b"".join(lines), events=len(lines))


def refused_address() -> str:
    """Return an address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


# --- file


def test_a_file_is_truncated_and_holds_each_write_at_once(station: Station, tmp_path: Path) -> None:
    """Parents are created, what was there is gone, and lines are visible before flush and close."""
    path = tmp_path / "a" / "b" / "out"
    path.parent.mkdir(parents=True)
    path.write_text("old and long\n")
    sink = station.sink(File(path=str(path)))
    sink.open()
    assert path.read_bytes() == b""
    sink.write(encoded(b"one\n", b"two\n"))
    assert path.read_bytes() == b"one\ntwo\n"
    sink.write(encoded(b"three\n"))
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    sink.close()


def test_a_file_may_be_truncated_by_a_log_rotation(station: Station, tmp_path: Path) -> None:
    """The next event stands at its new beginning, without a hole before it."""
    path = tmp_path / "out"
    sink = station.sink(File(path=str(path)))
    sink.open()
    sink.write(encoded(b"old\n" * 1000))
    os.truncate(path, 0)
    sink.write(encoded(b"new\n"))
    sink.close()
    assert path.read_bytes() == b"new\n"


def test_parents_that_cannot_be_created_are_named(station: Station, tmp_path: Path) -> None:
    """A file in the way of a directory is the reason."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "x" / "out"
    with pytest.raises(SinkOpenError) as caught:
        station.sink(File(path=str(path))).open()
    assert str(caught.value) == f"failed to create parent directories for {path}: Not a directory (os error 20)"


def test_a_named_pipe_without_a_reader_does_not_hang(station: Station, tmp_path: Path) -> None:
    """It is a reason not to open."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SinkOpenError, match=r"No such device or address \(os error 6\)"):
        station.sink(File(path=str(tmp_path / "pipe"))).open()


def test_a_named_pipe_that_is_full_is_waited_for(station: Station, tmp_path: Path) -> None:
    """All lines arrive, however slow the reader; a reader that goes away is a sink error."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    sink = station.sink(File(path=str(tmp_path / "pipe")))
    sink.open()
    os.set_blocking(reader, True)
    lines = [b"%d\n" % number for number in range(50_000)]
    received: list[bytes] = []

    def read() -> None:
        while sum(map(len, received)) < sum(map(len, lines)):
            received.append(os.read(reader, 1000))

    thread = threading.Thread(target=read)
    thread.start()
    sink.write(encoded(*lines))
    thread.join()
    assert b"".join(received) == b"".join(lines)
    os.close(reader)
    with pytest.raises(SinkError, match=r"^Broken pipe \(os error 32\)$"):
        sink.write(encoded(b"x\n"))
    sink.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small tmpfs cannot be mounted: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_whole_lines_and_works_again(station: Station, small_disk: Path) -> None:
    """The write that does not fit stands up to its last whole line; with room again the next line follows it."""
    blocker = small_disk / "blocker"
    blocker.write_bytes(b"x" * 64 * 1024)
    sink = station.sink(File(path=str(small_disk / "out")))
    sink.open()
    lines = [b"%07d" % number + b"y" * 92 + b"\n" for number in range(1000)]
    with pytest.raises(SinkError, match=r"^No space left on device \(os error 28\)$") as caught:
        sink.write(encoded(*lines))
    stands = (small_disk / "out").read_bytes()
    assert len(stands) == caught.value.delivered_bytes > 0
    assert stands == b"".join(lines[: len(stands) // 100])
    with pytest.raises(SinkError) as again:
        sink.write(encoded(b"z" * 8000 + b"\n"))
    assert again.value.delivered_bytes == 0
    assert (small_disk / "out").read_bytes() == stands
    blocker.unlink()
    sink.write(encoded(b"room\n"))
    assert (small_disk / "out").read_bytes() == stands + b"room\n"
    sink.close()


def test_a_full_disk_costs_a_scenario_only_what_does_not_fit(small_disk: Path) -> None:
    """The file holds exactly the counted events, failures are counted one per event, and the scenario goes on."""
    blocker = small_disk / "blocker"
    blocker.write_bytes(b"x" * 100 * 1024)
    with worker_processes() as (worker,):
        worker.start(entry_plan(rate=20_000.0, sink=File(path=str(small_disk / "out"))))
        wait_until(lambda: worker.counters().errors > 100, "failures")
        assert worker.counters().last_sink_error == "No space left on device (os error 28)"
        stuck = worker.counters().total_events
        blocker.unlink()
        wait_until(lambda: worker.counters().total_events > stuck, "events again")
        worker.stop()
        worker.finished()
        counters = worker.counters()
    content = (small_disk / "out").read_bytes()
    assert len(content) == counters.bytes_emitted
    assert content.count(b"\n") == counters.total_events
    assert content.endswith(b"\n")
    assert counters.errors == counters.total_sink_failures


def test_an_event_of_several_lines_stands_whole_or_not_at_all(station: Station, small_disk: Path) -> None:
    """Histograms and summaries have many lines a tick; a tick that does not fit leaves none of them."""
    sink = station.sink(File(path=str(small_disk / "out")))
    sink.open()
    lines = [b"%07d" % number + b"y" * 92 + b"\n" for number in range(3000)]
    with pytest.raises(SinkError) as caught:
        sink.write(Encoded(payload=b"".join(lines), events=1000, records_per_event=3))
    assert 0 < caught.value.delivered_bytes < 300_000
    assert caught.value.delivered_bytes % 300 == 0
    assert len((small_disk / "out").read_bytes()) == caught.value.delivered_bytes
    sink.close()


# --- tcp


def accept(server: socket.socket) -> socket.socket:
    server.settimeout(30)
    connection, _ = server.accept()
    connection.settimeout(30)
    return connection


def read_to_end(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_tcp_sends_without_framing_and_closes_in_order(station: Station) -> None:
    """The peer gets every byte and then end of file, also when it has sent something itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = station.sink(Tcp(address=f"localhost:{server.getsockname()[1]}"))
        sink.open()
        with accept(server) as peer:
            peer.sendall(b"hello, nobody reads this")
            sink.write(encoded(b"one\n", b"two\n"))
            sink.write(encoded(b"three\n"))
            sink.close()
            assert read_to_end(peer) == b"one\ntwo\nthree\n"


def test_tcp_waits_for_a_slow_peer(station: Station) -> None:
    """More than all socket buffers hold arrives whole and in order."""
    lines = [b"%099d\n" % number for number in range(100_000)]
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sink = station.sink(Tcp(address=f"127.0.0.1:{server.getsockname()[1]}"))
        sink.open()
        with accept(server) as peer:
            thread = threading.Thread(target=lambda: received.append(read_to_end(peer)))
            thread.start()
            sink.write(encoded(*lines))
            sink.close()
            thread.join()
    assert received == [b"".join(lines)]


def test_tcp_refused(station: Station) -> None:
    """The address and the reason, word for word."""
    address = refused_address()
    with pytest.raises(SinkOpenError) as caught:
        station.sink(Tcp(address=address)).open()
    assert str(caught.value) == f"TCP connect to {address}: Connection refused (os error 111)"


def test_tcp_unknown_host(station: Station) -> None:
    """The resolver's reason, without a number that means nothing to users."""
    with pytest.raises(SinkOpenError, match=r"^TCP connect to no.such.invalid:1: failed to lookup address information"):
        station.sink(Tcp(address="no.such.invalid:1")).open()


def test_tcp_tries_every_address(station: Station) -> None:
    """localhost stands for ::1 and 127.0.0.1; a server on either is reached."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = station.sink(Tcp(address=f"localhost:{server.getsockname()[1]}"))
        sink.open()
        accept(server).close()
        sink.close()


def write_until_broken(sink: Sink, line: bytes) -> SinkError:
    """Write until the reset of a peer that is gone has arrived."""
    error: list[SinkError] = []

    def fails() -> bool:
        try:
            sink.write(encoded(line))
        except SinkError as exc:
            error.append(exc)
            return True
        return False

    wait_until(fails, "a failed write")
    return error[0]


def test_tcp_without_retry_stays_broken(station: Station) -> None:
    """A broken connection is never made again: every later write fails with the same text."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        sink = station.sink(Tcp(address=address))
        sink.open()
        accept(server).close()
        first = write_until_broken(sink, b"x\n")
        assert str(first).startswith(f"TCP write to {address}: ")
        with pytest.raises(SinkError) as later:
            sink.write(encoded(b"y\n"))
        assert str(later.value) == str(first)
        sink.close()


def test_tcp_notices_a_peer_that_has_gone_before_it_writes(station: Station) -> None:
    """The first write behind the end of a stream would succeed and reach nobody; what the peer says is no end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        sink = station.sink(Tcp(address=address, retry=RETRY))
        sink.open()
        peer = accept(server)
        peer.sendall(b"hello\n")
        sink.write(encoded(b"x\n"))
        assert peer.recv(10) == b"x\n"
        peer.close()
        with pytest.raises(SinkError) as caught:
            sink.write(encoded(b"y\n"))
        assert str(caught.value) == f"TCP write to {address}: the peer has closed the connection"
        assert (caught.value.retriable, caught.value.delivered_bytes) == (True, 0)
        sink.close()


def test_tcp_doubts_what_the_peer_has_not_confirmed(station: Station) -> None:
    """Events that were on their way when the peer reset the connection are counted, those that it confirmed are not."""
    line = b"%0999d\n" % 1
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sink = station.sink(Tcp(address=f"127.0.0.1:{server.getsockname()[1]}"))
        sink.open()
        peer = accept(server)
        sink.write(encoded(b"first\n"))
        assert peer.recv(6) == b"first\n"
        for _ in range(600):
            sink.write(encoded(line))
        peer.close()
        write_until_broken(sink, b"y\n")
        (doubtful,) = station.doubts
        assert 500 < doubtful <= 600
        sink.close()
        assert station.doubts == [doubtful]


def test_tcp_doubts_nothing_of_a_peer_that_has_read_it_all(station: Station) -> None:
    """An end in order leaves no doubt, be it seen by a write or by the close."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for ends in (lambda sink: write_until_broken(sink, b"y\n"), lambda sink: sink.close()):
            sink = station.sink(Tcp(address=f"127.0.0.1:{server.getsockname()[1]}"))
            sink.open()
            with accept(server) as peer:
                for _ in range(300):
                    sink.write(encoded(b"x\n"))
                    assert peer.recv(2) == b"x\n"
            ends(sink)
            sink.close()
    assert sum(station.doubts) == 0


def test_tcp_with_retry_reconnects(station: Station) -> None:
    """The next write after a failure makes a new connection, or tells why it cannot."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        sink = station.sink(Tcp(address=address, retry=RETRY))
        sink.open()
        accept(server).close()
        assert write_until_broken(sink, b"x\n").retriable
        sink.write(encoded(b"again\n"))
        with accept(server) as peer:
            sink.close()
            assert read_to_end(peer) == b"again\n"
    sink = station.sink(Tcp(address=address, retry=RETRY))
    with pytest.raises(SinkError) as caught:
        sink.write(encoded(b"x\n"))
    assert str(caught.value) == f"TCP reconnect to {address}: Connection refused (os error 111)"
    assert caught.value.retriable


def test_tcp_gives_up_inside_the_window_of_a_stop(station: Station) -> None:
    """A write that hangs ends half a second before the deadline and says how many whole lines went out."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = station.sink(Tcp(address=f"127.0.0.1:{server.getsockname()[1]}"))
        sink.open()
        peer = accept(server)

        def stop() -> None:
            assert peer.recv(1, socket.MSG_PEEK)
            station.stop(window_secs=0.8)

        stopping = threading.Thread(target=stop)
        stopping.start()
        lines = [b"%0999d\n" % number for number in range(20_000)]
        with pytest.raises(SinkError, match=r"Connection timed out \(os error 110\)$") as caught:
            sink.write(encoded(*lines))
        assert caught.value.delivered_bytes % 1000 == 0
        assert 0 < caught.value.delivered_bytes < 20_000_000
        stopping.join()
        with peer:
            assert len(read_to_end(peer)) // 1000 == caught.value.delivered_bytes // 1000


def test_a_scenario_outlives_a_peer_that_cuts_its_connections() -> None:
    """With a retry block the rest of a batch goes over a new connection, no event fails, and no line is torn."""
    with socket.create_server(("127.0.0.1", 0)) as server, worker_processes() as (worker,):
        address = f"127.0.0.1:{server.getsockname()[1]}"
        retry = Retry(max_attempts=50, initial_backoff="5ms", max_backoff="50ms")
        worker.start(entry_plan(rate=50_000.0, sink=Tcp(address=address, retry=retry)))
        for _ in range(3):
            with accept(server) as peer:
                assert peer.recv(1000)
        with accept(server) as last:
            received = last.recv(1000)
            worker.stop()
            worker.finished()
            counters = worker.counters()
            assert counters.errors == 0
            assert counters.total_events > 0
            assert (received + read_to_end(last)).endswith(b"\n")


# --- udp


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        yield receiver


def test_udp_sends_one_datagram_an_event(station: Station, receiver: socket.socket) -> None:
    """Each datagram is one whole line."""
    sink = station.sink(Udp(address=f"127.0.0.1:{receiver.getsockname()[1]}"))
    sink.open()
    sink.write(encoded(b"one\n", b"two\n", b"three\n"))
    assert [receiver.recv(100) for _ in range(3)] == [b"one\n", b"two\n", b"three\n"]
    sink.close()


def test_udp_closed_port_is_no_error(station: Station) -> None:
    """The socket is not connected, so refusals do not come back."""
    sink = station.sink(Udp(address=refused_address()))
    sink.open()
    for _ in range(20):
        sink.write(encoded(b"x\n"))
    sink.close()


def test_udp_refuses_what_fits_no_datagram(station: Station, receiver: socket.socket) -> None:
    """Only that event is lost: the error says so, and what went before it is delivered."""
    port = receiver.getsockname()[1]
    sink = station.sink(Udp(address=f"127.0.0.1:{port}"))
    sink.open()
    with pytest.raises(SinkError) as caught:
        sink.write(encoded(b"before\n", b"x" * 65_507 + b"\n", b"behind\n"))
    assert str(caught.value) == f"UDP datagram size 65508 exceeds maximum 65507 for target 127.0.0.1:{port}"
    assert (caught.value.delivered_bytes, caught.value.one_event) == (7, True)
    assert receiver.recv(100) == b"before\n"
    sink.write(encoded(b"x" * 65_506 + b"\n"))
    assert len(receiver.recv(70_000)) == 65_507
    sink.close()


def test_udp_sends_one_datagram_a_line(station: Station, receiver: socket.socket) -> None:
    """Of an event with several lines, one that is refused takes the rest of its event with it, and no other."""
    sink = station.sink(Udp(address=f"127.0.0.1:{receiver.getsockname()[1]}"))
    sink.open()
    lines = [b"a1\n", b"a2\n", b"b1\n", b"x" * 70_000 + b"\n"]
    with pytest.raises(SinkError) as caught:
        sink.write(Encoded(payload=b"".join(lines), events=2, records_per_event=2))
    assert (caught.value.delivered_bytes, caught.value.one_event) == (6, True)
    assert [receiver.recv(100) for _ in range(3)] == lines[:3]
    sink.close()


def test_udp_over_ipv6(station: Station) -> None:
    """A bracketed address works alike."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("::1", 0))
        receiver.settimeout(30)
        sink = station.sink(Udp(address=f"[::1]:{receiver.getsockname()[1]}"))
        sink.open()
        sink.write(encoded(b"six\n"))
        assert receiver.recv(100) == b"six\n"
        sink.close()


def test_udp_unknown_host(station: Station) -> None:
    """The resolver's reason."""
    with pytest.raises(SinkOpenError, match=r"^UDP address resolution error for no.such.invalid:1: failed to lookup"):
        station.sink(Udp(address="no.such.invalid:1")).open()
