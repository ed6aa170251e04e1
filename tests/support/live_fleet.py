"""A real scheduler and real Dask workers, and the command that uses them."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.transcripts import SCRIPTS, environment, run

START_SECS = 60
STOP_SECS = 30
TLS = ("--tls-ca", "authority.pem", "--tls-cert", "server.pem", "--tls-key", "server.key")
"""What `tests.support.backends.tls_proxy.certify` makes."""


class LiveFleet:
    """A scheduler on loopback, and what joins it.

    Args:
        directory: where everything runs and writes.
        within: words that stand before the command of the scheduler, such as those that enter a namespace.
        arguments: flags of the scheduler.
    """

    def __init__(self, directory: Path, *arguments: str, within: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.file = directory / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._arguments, self._within = arguments, within
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.scheduler = self.start_scheduler("0")

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return str(json.loads(self.file.read_text())["address"])

    def start_scheduler(self, port: str) -> "subprocess.Popen[bytes]":
        """Start the scheduler, and wait until it says where it is."""
        self.file.unlink(missing_ok=True)
        flags = ("--port", port, "--scheduler-file", str(self.file), *self._arguments)
        self.scheduler = self._start((*self._within, *_fleet("scheduler"), *flags), {})
        wait_until(self._is_written, "the scheduler has written its address", START_SECS)
        return self.scheduler

    def add_worker(
        self, name: str, url: str, *arguments: str, within: tuple[str, ...] = (), **more: str
    ) -> "subprocess.Popen[bytes]":
        """Start the Dask worker of a host; who asks for hosts waits for it."""
        place = arguments or ("--scheduler-file", str(self.file))
        command = (*within, *_fleet("worker"), "--name", name, *place)
        self.workers[name] = self._start(command, {"SONDAD_URL": url, **more})
        return self.workers[name]

    def add_plain_worker(self, name: str, url: str) -> None:
        """Start a Dask worker as Dask itself does, without anything of ours but the name of the daemon."""
        command = (str(SCRIPTS / "dask"), "worker", "--scheduler-file", str(self.file), "--name", name, "--no-nanny")
        self.workers[name] = self._start((*command, "--host", "127.0.0.1", "--no-dashboard"), {"SONDAD_URL": url})

    def command(self, *arguments: str, within: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        """Run `sondad fleet` to its end."""
        return run([*within, *self._full(arguments)], self.directory, timeout=200)

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `sondad fleet`, and go on."""
        process = subprocess.Popen(
            self._full(arguments),
            cwd=self.directory,
            env=environment(self.directory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)  # type: ignore[arg-type]  # it is only ended
        return process

    def hosts(self, *arguments: str, within: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """What `status` tells of the hosts that can be asked."""
        told = json.loads(self.command("status", "--json", *arguments, within=within).stdout)
        return [host for host in told if host["fault"] is None]

    def close(self) -> None:
        """End everything that still runs."""
        # A worker says good-bye to its scheduler, and waits long for one that is gone.
        for group in (list(self.workers.values()), self._processes):
            for process in group:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            for process in group:
                try:
                    process.wait(STOP_SECS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for process in self._processes:
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def log(self) -> str:
        """What all of them have written."""
        return "".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self.directory.glob("fleet-*.log")))

    def _full(self, arguments: tuple[str, ...]) -> list[str]:
        named = any(word.startswith(("--scheduler", "--local")) for word in arguments)
        return [*_fleet(), *arguments, *(() if named else ("--scheduler-file", str(self.file)))]

    def _start(self, command: tuple[str, ...], more: dict[str, str]) -> "subprocess.Popen[bytes]":
        log = self.directory / f"fleet-{len(self._processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=environment(self.directory, TMPDIR=str(self.directory), **more),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _is_written(self) -> bool:
        try:
            return bool(self.address)
        except (OSError, ValueError):
            assert self.scheduler.poll() is None if hasattr(self, "scheduler") else True, self.log()
            return False


def allowed(directory: Path) -> tuple[str, ...]:
    """The flags of a daemon that may use a directory."""
    return ("--allow-path", str(directory))


def kill(process: "subprocess.Popen[Any] | LiveServer") -> None:
    """End a process by SIGKILL, a daemon with all of its workers; returns when it is gone."""
    if isinstance(process, LiveServer):
        process.kill()
    else:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(STOP_SECS)


def _fleet(*words: str) -> tuple[str, ...]:
    return (str(SCRIPTS / "sondad"), "fleet", *words)
