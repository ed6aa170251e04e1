"""A fleet on this machine, for one run: a scheduler, and N times a daemon with its Dask worker.

All of them end with the command, however it ends. Source: docs/more-than-one-machine.md, "On one machine".
"""

import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from supervisor.cli.failures import CommandError
from supervisor.cli.fleet.roles import scheduler_arguments, settings_of, worker_arguments
from supervisor.fleet.actions import KEY_FILE_VARIABLE, URL_VARIABLE
from supervisor.fleet.place import SchedulerPlace
from supervisor.host.daemon_address import API_KEY_VARIABLE
from supervisor.host.interpreter import command

_START_SECS: Final = 60.0
_END_SECS: Final = 15.0
_PR_SET_PDEATHSIG: Final = 1
_LOOPBACK: Final = "127.0.0.1"
_LIBC: Final = ctypes.CDLL(None)


class LocalFleet:
    """Starts everything on entering, and ends it afterwards.

    Args:
        count: how many daemons.

    Attributes:
        place: its scheduler.

    Raises:
        CommandError: on entering, when something does not start; says what it has written.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._directory = Path(tempfile.mkdtemp(prefix="sondad-fleet-"))
        self._processes: list[tuple[str, subprocess.Popen[bytes], Path]] = []
        self._copies: list[threading.Thread] = []
        file = self._directory / "scheduler.json"
        self.place = SchedulerPlace(None, file, None)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _start(self) -> None:
        # Others on this machine may reach loopback too; only these processes know the key.
        given = {name: value for name, value in os.environ.items() if name != KEY_FILE_VARIABLE}
        environment = settings_of(given, None) | {API_KEY_VARIABLE: secrets.token_hex(16)}
        file = self.place.file
        self._spawn("scheduler", scheduler_arguments(_LOOPBACK, 0, str(file), None), environment)
        serve = [*command("supervisor.__main__", "main()"), "serve", "--port", "0", "--bind", _LOOPBACK]
        daemons = [
            self._spawn(
                f"daemon {number}", [*serve, "--allow-path", "/", "--builtin-packs"], environment, subprocess.PIPE
            )
            for number in range(1, self._count + 1)
        ]
        ports = [self._announced(daemon) for daemon in daemons]
        address = self.place.await_address(_START_SECS, self._check)
        for number, port in enumerate(ports, 1):
            arguments = worker_arguments(address, f"local-{number}", _LOOPBACK, None)
            arguments += ["--local-directory", str(self._directory)]
            self._spawn(f"worker {number}", arguments, environment | {URL_VARIABLE: f"http://{_LOOPBACK}:{port}"})
        for daemon in daemons:
            # What follows its first line are the events of stdout sinks.
            copy = threading.Thread(target=_copy, args=(daemon.stdout,), daemon=True)
            copy.start()
            self._copies.append(copy)

    def _spawn(
        self, name: str, arguments: list[str], environment: dict[str, str], stdout: int = subprocess.DEVNULL
    ) -> "subprocess.Popen[bytes]":
        log = self._directory / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603 - our own programs
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=environment,
                # Ctrl-C is for the command, which then stops the run on all of them.
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self._processes.append((name, process, log))
        return process

    def _announced(self, daemon: "subprocess.Popen[bytes]") -> int:
        assert daemon.stdout is not None  # noqa: S101 - it is a pipe
        line = daemon.stdout.readline()
        self._check()
        return int(json.loads(line)["sonda_server"]["port"])

    def _check(self) -> None:
        for name, process, log in self._processes:
            if process.poll() is not None:
                said = log.read_text(errors="replace").strip().splitlines()
                raise CommandError(
                    f"the {name} of the local fleet did not start: {said[-1] if said else process.returncode}"
                )

    def _end(self) -> None:
        # Workers first: each says good-bye to the scheduler, and waits long for one that is gone.
        workers = [process for name, process, _ in self._processes if name.startswith("worker")]
        for group in (workers, [process for _, process, _ in self._processes]):
            for process in group:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + _END_SECS
            for process in group:
                try:
                    process.wait(max(deadline - time.monotonic(), 0.1))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for copy in self._copies:
            copy.join(_END_SECS)
        shutil.rmtree(self._directory, ignore_errors=True)


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _copy(events: BufferedReader) -> None:
    with events:
        while part := events.read1():
            sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
