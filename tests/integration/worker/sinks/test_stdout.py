"""The stdout sink: real workers that share whatever their parent's stdout is."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import IO, Any

LINE = re.compile(rb'(w\d)\{l="(\w+)"\} (\d+) \d{13}')
WORKERS = [sys.executable, "-m", "tests.support.stdout_workers"]


def told(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


def run_workers(arguments: list[str], stdout: int | IO[bytes]) -> list[dict[str, Any]]:
    done = subprocess.run([*WORKERS, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return told(done.stderr)


def values_of(content: bytes) -> dict[str, list[int]]:
    """Return each worker's values in the order of its lines; every line must be whole and of its length."""
    lines = content.split(b"\n")
    assert lines.pop() == b""
    values = defaultdict(list)
    for line in lines:
        name, label, value = LINE.fullmatch(line).groups()  # type: ignore[union-attr]
        number = int(value)
        assert label == (b"long" * 2000 if number % 10 == 0 else b"abcdefghi"[number % 10 - 1 : number % 10])
        values[name.decode()].append(number)
    return values


def assert_all_there(content: bytes, rows: list[dict[str, Any]]) -> None:
    """Every counted event is one whole line, in order, and nothing else is there."""
    values = values_of(content)
    for number, row in enumerate(rows):
        assert row["errors"] == 0, row
        assert values[f"w{number}"] == list(range(row["total_events"]))
        assert row["total_events"] > 0
    assert sum(row["bytes_emitted"] for row in rows) == len(content)


class Reader(threading.Thread):
    """Reads a descriptor to its end, `step` bytes at a time."""

    def __init__(self, descriptor: int, step: int) -> None:
        super().__init__()
        self.parts: list[bytes] = []
        self._descriptor = descriptor
        self._step = step
        self.start()

    def run(self) -> None:
        while part := os.read(self._descriptor, self._step):
            self.parts.append(part)
        os.close(self._descriptor)

    def content(self) -> bytes:
        self.join(30)
        assert not self.is_alive()
        return b"".join(self.parts)


def test_lines_of_several_workers_never_mix_in_a_pipe() -> None:
    """Three workers as fast as a slow reader lets them, lines longer than the pipe takes at once among them."""
    ours, theirs = os.pipe()
    reader = Reader(ours, 10_000)
    rows = run_workers(["3", "1e6", "0.4"], theirs)
    os.close(theirs)
    assert_all_there(reader.content(), rows)


def test_lines_of_several_workers_never_mix_in_a_socket() -> None:
    """A stream socket, as a service manager gives, is served alike, and stays blocking for others."""
    ours, theirs = socket.socketpair()
    with theirs:
        reader = Reader(ours.detach(), 10_000)
        rows = run_workers(["2", "1e6", "0.4"], theirs.fileno())
        assert os.get_blocking(theirs.fileno())
    assert_all_there(reader.content(), rows)


def test_a_regular_file_is_shared(tmp_path: Path) -> None:
    """Workers append to one another behind a redirection."""
    with (tmp_path / "out").open("wb") as stdout:
        rows = run_workers(["2", "20000", "0.5"], stdout)
    assert_all_there((tmp_path / "out").read_bytes(), rows)


def test_the_reader_of_stdout_may_go() -> None:
    """Each worker tells once, counts everything as delivered, and runs to its end without an error."""
    ours, theirs = os.pipe()
    with subprocess.Popen([*WORKERS, "2", "1000", "1.5"], stdout=theirs, stderr=subprocess.PIPE, text=True) as parent:
        os.close(theirs)
        assert os.read(ours, 100)
        os.close(ours)
        _, stderr = parent.communicate(timeout=30)
    for row in told(stderr):
        # Ticks that are overdue at the end on a busy machine are left out.
        assert 500 < row["total_events"] <= 1500
        assert row["errors"] == 0
        assert row["delivered_at"] > 0
        assert row["stdout_closed"] == 1


def test_a_worker_that_is_told_to_discard_writes_nothing() -> None:
    """Everything counts as delivered, and nobody has to be told."""
    ours, theirs = os.pipe()
    rows = run_workers(["1", "1000", "0.2", "discard"], theirs)
    os.close(theirs)
    assert os.read(ours, 1) == b""
    os.close(ours)
    assert [(row["total_events"], row["errors"], row["stdout_closed"]) for row in rows] == [(200, 0, 0)]


def test_any_other_failure_is_a_sink_error() -> None:
    """A full device behind stdout costs every event and is no reason to discard."""
    with open("/dev/full", "wb") as stdout:
        rows = run_workers(["1", "100", "0.2"], stdout)
    assert [(row["total_events"], row["errors"], row["stdout_closed"]) for row in rows] == [(0, 20, 0)]
    assert rows[0]["last_sink_error"] == "No space left on device (os error 28)"


SHARED = """
import multiprocessing, os, sys, time
from common.clock import SystemClock
from common.errors import SinkError
from worker.ticks.batch import Encoded
from tests.support.station import links_of_a_worker
from worker.control.control import Control
from worker.sinks.stdout import StdoutSink

supervisor, connection = multiprocessing.Pipe()
alive, _ = os.pipe()
control = Control(connection, alive, SystemClock())
entered = control.entry("a", links_of_a_worker())
sink = StdoutSink(entered.__enter__(), os.memfd_create("lock"))
os.fchmod(1, 0)
if os.geteuid() == 0:
    os.seteuid(65534)
sink.open()
lines = [b"%d %s" % (number, b"x" * (number % 50 * 200)) + b"\\n" for number in range(2000)]
if "stop" in sys.argv:
    control.stop(time.monotonic_ns() + 800_000_000)
try:
    sink.write(Encoded(payload=b"".join(lines), events=len(lines)))
except SinkError as exc:
    print(exc, file=sys.stderr)
assert os.get_blocking(1)
"""


def shared_stdout(argument: str, stdout: int) -> subprocess.Popen[str]:
    """Start a process that may not open its stdout again, as if the pipe belonged to another user."""
    return subprocess.Popen([sys.executable, "-c", SHARED, argument], stdout=stdout, stderr=subprocess.PIPE, text=True)


def test_a_pipe_that_may_not_be_opened_again_gets_everything() -> None:
    """Through the shared description, which stays blocking for its other users."""
    ours, theirs = os.pipe()
    with shared_stdout("go", theirs) as process:
        os.close(theirs)
        content = Reader(ours, 1000).content()
        assert (process.wait(30), process.stderr and process.stderr.read()) == (0, "")
    assert content == b"".join(b"%d %s\n" % (number, b"x" * (number % 50 * 200)) for number in range(2000))


def test_a_pipe_that_may_not_be_opened_again_is_never_blocked_on() -> None:
    """A write to a full pipe that nobody reads ends in the window of a stop."""
    ours, theirs = os.pipe()
    with shared_stdout("stop", theirs) as process:
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == "Resource temporarily unavailable (os error 11)\n"
    os.close(ours)
    os.close(theirs)
