"""Accepted updates per second and latency of the relay, beside a bare Falcon-on-waitress handler in the same run.

Run as `python tests/bench/bench_relay.py [--seconds S] [--against CHECKOUT]`. Prints, for 1, 8 and 64 clients over one
Unix socket, the rate and the p50 and p99 latency of the relay with `sync: commit` and `sync: off`, and of the
bare handler, which parses the same body and answers 202; then the recovery time of a full spool and the memory with
1 000 clients. The servers take turns in short rounds, of which the medians are shown, so that a busy moment is the same
for all. With `--against` the relay of another checkout takes turns with ours, and the ratio is that of ours to it.
"""

import argparse
import contextlib
import os
import select
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

ROUNDS = 9
BODY = (
    b'{"status":"warn","message":"Basic Example of a LogScan breach",'
    b'"metrics":[{"name":"urn:logscan:error:count","type":"Integer","value":5}]}'
)
REQUEST = (
    b"POST /checks/123 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)
) + BODY
BARE = """
import falcon, msgspec, sys, waitress
class Check:
    def on_post(self, req, resp, check):
        msgspec.json.decode(req.bounded_stream.read())
        resp.status = falcon.HTTP_202
app = falcon.App()
app.add_route("/checks/{check}", Check())
waitress.serve(app, unix_socket=sys.argv[1], threads=8, asyncore_use_poll=True, connection_limit=1000, _quiet=True)
"""
SPOOLING = 'upstream: {{url: "unix:{root}/nobody.sock"}}'
CONFIG = """
version: 1
relay: {{id: bench, run_dir: {root}/run, state_dir: {root}/state}}
spool: {{sync: {sync}, max_entries: 1000000, max_bytes: 4GiB}}
{upstream}
clients:
  agent: {{uid: {uid}, max_connections: 1024, checks: {{"123": {{urn: "urn:logscan"}}}}}}
"""


def configure(root: Path, sync: str, upstream: str = SPOOLING) -> str:
    """Write a configuration under `root` and return its path; with `upstream` every update is spooled, too."""
    config = root / "relay.yaml"
    config.write_text(CONFIG.format(root=root, sync=sync, upstream=upstream.format(root=root), uid=os.geteuid()))
    return str(config)


def drive(path: str, clients: int, seconds: float) -> tuple[float, float, float]:
    """Return (updates per second, p50 ms, p99 ms) of `clients` that connect, post and read in a loop."""
    poll = select.epoll()
    open_at: dict[int, tuple[socket.socket, float]] = {}
    latencies: list[float] = []

    def connect() -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        started = time.perf_counter()
        sock.connect(path)
        sock.send(REQUEST)
        poll.register(sock.fileno(), select.EPOLLIN)
        open_at[sock.fileno()] = (sock, started)

    end = time.perf_counter() + seconds
    began = time.perf_counter()
    for _ in range(clients):
        connect()
    while open_at:
        for fd, _ in poll.poll():
            sock, started = open_at.pop(fd)
            answer = sock.recv(4096)
            latencies.append(time.perf_counter() - started)
            assert answer.startswith(b"HTTP/1.1 202"), answer
            poll.unregister(fd)
            sock.close()
            if time.perf_counter() < end:
                connect()
    elapsed = time.perf_counter() - began
    latencies.sort()
    return len(latencies) / elapsed, latencies[len(latencies) // 2] * 1e3, latencies[len(latencies) * 99 // 100] * 1e3


@contextlib.contextmanager
def process(arguments: list[str], socket_path: str, checkout: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until its socket answers, and end it afterwards."""
    child = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL, cwd=checkout)
    try:
        deadline = time.monotonic() + 60
        while not _answers(socket_path):
            assert child.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.002)
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == 0


def bench_rates(seconds: float, against: str | None) -> None:
    """Print the table of rates and latencies."""
    print(f"{'clients':>7}  {'server':<28} {'updates/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'CPU us':>7} {'ratio':>6}")
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = {"falcon on waitress": f"{root}/bare.sock"}
        servers = {
            "falcon on waitress": stack.enter_context(
                process(["-c", BARE, targets["falcon on waitress"]], targets["falcon on waitress"])
            )
        }
        for name, sync, upstream in (
            ("relay, sync: commit", "commit", SPOOLING),
            ("the same, no upstream", "commit", ""),
            ("relay, sync: off", "off", SPOOLING),
        ):
            for checkout in (None, against) if against else (None,):
                shown = f"{name}, other" if checkout else name
                folder = root / str(len(servers))
                folder.mkdir()
                targets[shown] = f"{folder}/run/clients/agent.sock"
                arguments = ["-m", "supervisor.relay", "--config", configure(folder, sync, upstream)]
                servers[shown] = stack.enter_context(process(arguments, targets[shown], checkout))
        for clients in (1, 8, 64):
            rounds = [
                {name: measure(path, servers[name].pid, clients, seconds / ROUNDS) for name, path in targets.items()}
                for _ in range(ROUNDS)
            ]
            for name in targets:
                rate, p50, p99, cpu_us = (statistics.median(found[name][at] for found in rounds) for at in range(4))
                other = f"{name}, other" if f"{name}, other" in targets else "falcon on waitress"
                ratio = statistics.median(found[name][0] / found[other][0] for found in rounds)
                print(f"{clients:>7}  {name:<28} {rate:>10.0f} {p50:>8.3f} {p99:>8.3f} {cpu_us:>7.0f} {ratio:>6.2f}")


def measure(path: str, pid: int, clients: int, seconds: float) -> tuple[float, float, float, float]:
    """Return (updates per second, p50 ms, p99 ms, CPU microseconds per update) of the server `pid` at `path`."""
    drive(path, clients, 0.1)
    before = cpu_secs(pid)
    rate, p50, p99 = drive(path, clients, seconds)
    return rate, p50, p99, (cpu_secs(pid) - before) / (rate * seconds) * 1e6


def bench_commit() -> None:
    """Print what one synced SQLite commit takes here: the floor of a durable update that waits alone."""
    with tempfile.TemporaryDirectory() as root, contextlib.closing(sqlite3.connect(f"{root}/x.db")) as db:
        db.isolation_level = None
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (x BLOB);")
        times = []
        for _ in range(300):
            started = time.perf_counter()
            db.execute("INSERT INTO t VALUES (?)", (BODY * 4,))
            times.append(time.perf_counter() - started)
    times.sort()
    print(f"one synced commit alone: p50 {times[150] * 1e3:.3f} ms, p99 {times[297] * 1e3:.3f} ms")


def cpu_secs(pid: int) -> float:
    """Return the processor time a process has used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def bench_recovery(entries: int) -> None:
    """Print how long a relay with a spool of `entries` takes from its start to its first answer."""
    with tempfile.TemporaryDirectory() as root:
        path = f"{root}/run/clients/agent.sock"
        arguments = ["-m", "supervisor.relay", "--config", configure(Path(root), "off")]
        with process(arguments, path):
            sent = 0.0
            while sent < entries:
                rate, _, _ = drive(path, 64, 2.0)
                sent += rate * 2.0
        started = time.perf_counter()
        with process(arguments, path) as child:
            elapsed = time.perf_counter() - started
            resident = psutil.Process(child.pid).memory_info().rss >> 20
        print(f"recovery of about {sent:.0f} spool entries: {elapsed:.2f} s to listen, {resident} MiB resident")


def bench_memory(clients: int) -> None:
    """Print the memory of a relay with `clients` configured, listening clients of ten checks each."""
    with tempfile.TemporaryDirectory() as root:
        config = Path(root, "relay.yaml")
        checks = ", ".join(f'"urn:check:{number}": {{}}' for number in range(10))
        entries = "".join(f"  client-{at}: {{uid: {at + 1000}, checks: {{{checks}}}}}\n" for at in range(clients))
        config.write_text(
            f"version: 1\nrelay: {{id: bench, run_dir: {root}/run, state_dir: {root}/state}}\nclients:\n{entries}"
        )
        started = time.perf_counter()
        arguments = ["-m", "supervisor.relay", "--config", str(config)]
        with process(arguments, f"{root}/run/clients/client-{clients - 1}.sock") as child:
            elapsed = time.perf_counter() - started
            resident = psutil.Process(child.pid).memory_info().rss / 2**20
        print(f"{clients} clients of ten checks: {resident:.0f} MiB resident, {elapsed:.2f} s to listen")


def main() -> None:
    """Run every benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.5, help="duration of each measurement")
    parser.add_argument("--against", metavar="CHECKOUT", help="another checkout, whose relay takes turns with ours")
    arguments = parser.parse_args()
    bench_commit()
    bench_rates(arguments.seconds, arguments.against)
    bench_recovery(100_000)
    bench_memory(1000)


if __name__ == "__main__":
    main()
