"""`run` as a process: how it ends, and that nothing is left of it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.polling import wait_until
from tests.support.processes import members_of_session, title_of
from tests.support.transcripts import environment, run

Start = Callable[..., "Running"]

ENDLESS = """\
version: 2
kind: runnable
defaults: {{rate: {rate}, sink: {sink}}}
scenarios:
  - {{id: a, signal_type: metrics, name: first, generator: {{type: constant, value: 1}}}}
  - {{id: b, signal_type: metrics, name: second, generator: {{type: constant, value: 2}}}}
  - {{id: c, signal_type: metrics, name: later, phase_offset: 60s, generator: {{type: constant, value: 3}}}}
"""


class Running:
    """A `sonda run` in its own session."""

    def __init__(self, directory: Path, *arguments: str, stdout: Path | None) -> None:
        with (stdout or Path(os.devnull)).open("w") as file:
            self.process = subprocess.Popen(
                ["sonda", *arguments],
                cwd=directory,
                env=environment(directory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout is None else file,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def workers(self) -> dict[str, psutil.Process]:
        """The workers that have a scenario, by its name."""
        titles = {child: title_of(child) for child in self.session()}
        return {title.split()[2]: child for child, title in titles.items() if title.startswith("sondad: scenario ")}

    def hosts(self) -> list[str]:
        """The titles of workers with several scenarios."""
        return [title for child in self.session() if "scenarios)" in (title := title_of(child))]

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Send a signal, if any, and return exit code and stderr."""
        if number is not None:
            self.process.send_signal(number)
        _, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stderr

    def close(self) -> None:
        """End whatever is still there."""
        for process in self.session():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def anything_left(self) -> list[str]:
        """What of its session still runs."""
        return list(filter(None, map(title_of, self.session())))

    def session(self) -> list[psutil.Process]:
        """Every process of its session that is not over."""
        return members_of_session(self.process.pid)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A working directory."""
    return tmp_path


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    """Start runs in the directory; whatever they leave behind is a failure, and ended."""
    started: list[Running] = []

    def start_one(*arguments: str, stdout: Path | None = None) -> Running:
        started.append(Running(directory, *arguments, stdout=stdout))
        return started[-1]

    yield start_one
    try:
        for running in started:
            wait_until(lambda running=running: running.anything_left() == [], "end of everything")
    finally:
        for running in started:
            running.close()


def endless(directory: Path, sink: str = "{type: stdout}", rate: float = 50) -> Path:
    path = directory / "endless.yaml"
    path.write_text(ENDLESS.format(rate=rate, sink=sink))
    return path


def brief(directory: Path, sink: str = "{type: stdout}", rate: float = 10) -> Path:
    path = endless(directory, sink, rate)
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "later" not in line))
    return path


def wait_for_bytes(path: Path) -> None:
    wait_until(lambda: path.exists() and path.stat().st_size > 0, f"bytes in {path}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_entry_and_reports_all(directory: Path, start: Start, number: signal.Signals) -> None:
    """Entries that emit and one that waits for its start end at once; what was emitted is whole; exit code 0."""
    out = directory / "out"
    running = start("run", str(endless(directory)), stdout=out)
    wait_for_bytes(out)
    code, stderr = running.end(number)
    assert code == 0
    lines = stderr.splitlines()
    assert [line.split("  ")[0] for line in lines if "■" in line] == [
        "[1/3] ■ first",
        "[2/3] ■ second",
        "[3/3] ■ later",
    ]
    assert lines[-1].startswith("━━ run complete  scenarios: 3 | events: ")
    assert "Traceback" not in stderr
    emitted = out.read_text().splitlines()
    assert all(len(line.split(" ")) == 3 for line in emitted)
    assert f"events: {len(emitted)} |" in lines[-1]


def test_entries_share_a_process_on_request(directory: Path, start: Start) -> None:
    """--isolation shared: one worker for all entries; otherwise the run is the same."""
    out = directory / "out"
    running = start("run", str(endless(directory)), "--isolation", "shared", stdout=out)
    wait_until(lambda: out.exists() and {"first", "second"} <= set(out.read_text().split()), "events of both")
    assert (len(running.hosts()), running.workers()) == (1, {})
    code, stderr = running.end(signal.SIGTERM)
    assert code == 0
    assert stderr.splitlines()[-1].startswith("━━ run complete  scenarios: 3 | events: ")


STOPPED_BEFORE_THE_LAUNCH = """
import sys
from sondad.entry import scenario_main
from supervisor.cli.running import session

class Early(session.Session):
    def run(self, plan, spectator):
        self.stop()
        return super().run(plan, spectator)

session.Session = Early
sys.argv = ["sonda", "run", sys.argv[1]]
sys.exit(scenario_main())
"""


def test_a_signal_before_the_launch_is_a_run_without_events(directory: Path) -> None:
    """The command ends as after any signal: an entry that was never launched has made nothing."""
    command = [sys.executable, "-c", STOPPED_BEFORE_THE_LAUNCH, str(endless(directory))]
    ended = subprocess.run(command, env=environment(directory), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "■ second  completed in 0.0s | events: 0 | bytes: 0 B | errors: 0" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("━━ run complete  scenarios: 3 | events: 0 | bytes: 0 B")


def test_a_second_signal_abandons_the_flush(directory: Path, start: Start) -> None:
    """A destination that never answers holds a run up after the first signal; the second one ends it with 130."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        running = start("run", str(endless(directory, f"{{type: http_push, url: '{url}', batch_size: 1}}")))
        wait_until(lambda: len(running.workers()) == 3, "workers")
        silent.settimeout(60)
        with silent.accept()[0] as connection:
            assert connection.recv(4) == b"POST"
            running.process.send_signal(signal.SIGINT)
            wait_until(lambda: "later" not in running.workers(), "who has nothing to deliver leaves")
            assert running.process.poll() is None
            code, stderr = running.end(signal.SIGINT)
    assert code == 130
    assert "Traceback" not in stderr


def test_a_run_ends_quietly_when_nobody_reads_its_output(directory: Path, start: Start) -> None:
    """The reader of standard output leaves: every entry ends, exit code 0, nothing on stderr but the banners."""
    running = start("run", str(endless(directory)), "--on-sink-error", "fail")
    assert running.process.stdout is not None
    assert running.process.stdout.readline()
    running.process.stdout.close()
    assert running.process.stderr is not None
    stderr = running.process.stderr.read()
    assert running.process.wait(60) == 0
    assert all("▶" in line for line in stderr.splitlines())


def test_a_worker_that_vanishes_fails_the_run_and_the_others_go_on(directory: Path, start: Start) -> None:
    """SIGKILL of one worker: the others emit until they are stopped; the error names the entry; exit code 1."""
    out = directory / "out"
    running = start("run", str(endless(directory)), stdout=out)
    wait_for_bytes(out)
    running.workers()["first"].kill()
    wait_until(lambda: "first" not in running.workers(), "end of the worker")
    seen = out.read_text().count("second")
    wait_until(lambda: out.read_text().count("second") > seen, "more events of the other entry")
    code, stderr = running.end(signal.SIGTERM)
    assert code == 1
    assert stderr.splitlines()[-1] == "error: runtime error: scenario 'first': killed by signal 9 (SIGKILL)"


def test_workers_end_when_the_command_is_killed(directory: Path, start: Start) -> None:
    """SIGKILL of the command itself: its workers see it and leave."""
    running = start("run", str(endless(directory)), stdout=Path(os.devnull))
    wait_until(lambda: len(running.workers()) == 3, "workers")
    running.process.kill()
    running.process.wait(30)


def test_lines_of_several_entries_never_mix(directory: Path) -> None:
    """Several workers write to one pipe; every line is whole."""
    done = run(["sonda", "-q", "run", str(brief(directory, rate=20_000)), "--duration", "1s"], directory)
    assert (done.returncode, done.stderr) == (0, "")
    assert {tuple(line.split(" ")[:2]) for line in done.stdout.splitlines()} == {("first", "1"), ("second", "2")}
    assert all(len(line.split(" ")) == 3 for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"HOME": ""}, id="no home"),
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, id="no locale"),
        pytest.param({"TERM": "dumb"}, id="dumb terminal"),
        pytest.param({"COLUMNS": "80", "LINES": "5"}, id="small window"),
        pytest.param({"TMPDIR": "/proc"}, id="no temporary directory of its own"),
    ],
)
def test_the_environment_changes_nothing_but_looks(directory: Path, change: dict[str, str]) -> None:
    """A poor environment: the same events, the same words."""
    done = run(["sonda", "run", str(brief(directory)), "--duration", "1s"], directory, **change)
    assert done.returncode == 0, done.stderr
    assert "first 1 " in done.stdout
    assert "[1/2] ▶ first" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", "2>&-", ">&-", "<&- 2>&- >&-"])
def test_closed_descriptors_change_nothing_else(directory: Path, closed: str) -> None:
    """Without stdin, stdout or stderr a run does what it does otherwise, and no file gets what was meant for them."""
    path = brief(directory, "{type: file, path: out}")
    done = subprocess.run(
        ["sh", "-c", f"exec sonda run {path} --duration 1s {closed}"],
        cwd=directory,
        env=environment(directory),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert (directory / "out").read_text().count("\n") >= 2
    assert b"Traceback" not in done.stderr


def test_a_read_only_directory_is_an_error_that_names_the_file(directory: Path) -> None:
    """A sink that cannot make its file: one record, exit code 1, whatever the policy."""
    done = run(["sonda", "-q", "run", str(brief(directory)), "-o", "/proc/version/out"], directory)
    assert done.returncode == 1
    assert done.stderr.startswith("error: sink error: ")
    assert "/proc/version/out" in done.stderr
    assert done.stderr.count("\n") == 1


def test_progress_is_written_as_lines_where_there_is_no_terminal(directory: Path) -> None:
    """A gated entry says once that it is paused; every entry says once that it has ended; no escape sequences."""
    path = directory / "gated.yaml"
    path.write_text(
        "version: 2\nkind: runnable\ndefaults: {rate: 10, duration: 3s, sink: {type: memory}}\nscenarios:\n"
        "  - {id: up, signal_type: metrics, name: up, generator: {type: constant, value: 0}}\n"
        "  - id: down\n    signal_type: metrics\n    name: down\n    generator: {type: constant, value: 1}\n"
        "    while: {ref: up, op: '>', value: 1}\n"
    )
    done = run(["sonda", "run", str(path)], directory)
    assert done.returncode == 0
    assert done.stderr.count("[progress] down  PAUSED  events: 0 | rate: 0.0/s | elapsed: ") == 1
    for name in ("up", "down"):
        assert done.stderr.count(f"[progress] {name}  STOPPED | events: ") == 1
    assert "\x1b" not in done.stderr


def test_sink_trouble_is_said_even_quietly(directory: Path) -> None:
    """Under `warn` a destination that refuses is reported at once, without level or time, and the run succeeds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    path = brief(directory, f"{{type: http_push, url: 'http://127.0.0.1:{port}/', batch_size: 1}}", rate=20)
    done = run(["sonda", "-q", "run", str(path), "--duration", "1s"], directory)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "sink errors in last 60s" in line]
    assert any(line.startswith("sonda: scenario 'first': ") for line in lines)
    assert all(line.startswith("sonda: ") for line in done.stderr.splitlines())


def test_a_finished_run_reports_its_own_time(directory: Path) -> None:
    """`completed in` counts the wait for the start, and ends with the entry, not with the run."""
    path = directory / "two.yaml"
    path.write_text(
        "version: 2\nkind: runnable\ndefaults: {rate: 10, sink: {type: memory}}\nscenarios:\n"
        "  - {signal_type: metrics, name: long, duration: 1s, generator: {type: constant, value: 0}}\n"
        "  - {signal_type: metrics, name: brief, duration: 100ms, phase_offset: 200ms,"
        " generator: {type: constant, value: 0}}\n"
    )
    began = time.monotonic()
    done = run(["sonda", "run", str(path)], directory)
    took = time.monotonic() - began
    completed = [
        line.partition("completed in ")[2].partition("s ")[0] for line in done.stderr.splitlines() if "■" in line
    ]
    long, brief = (float(text) for text in completed)
    assert 1.0 <= long <= took
    assert 0.3 <= brief <= long
