"""A real `sonda-server` process, a small client for it, and the proof that nothing is left of it."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import psutil
import requests

from tests.support.polling import wait_until
from tests.support.processes import members_of_session, titled

COMMAND = str(Path(sys.executable).with_name("sonda-server"))
# Of a machine that is very busy.
START_SECS = 60
STOP_SECS = 60
REQUEST_SECS = 60

Json = dict[str, Any]


class LiveServer:
    """One running daemon on 127.0.0.1, on a port of its own.

    Args:
        directory: where its standard output and error go, as files.
        arguments: flags besides port and address.
        environment: variables to add; those that configure the daemon are otherwise unset.
        piped_stdout: connect standard output to a pipe, `stdout`, that the test reads; the announce line is taken off.
        command: what to start.
        pass_fds: descriptors that it inherits.

    Attributes:
        announce_line: its first line on standard output, with its end.

    Raises:
        AssertionError: the daemon has not announced itself in time; shows its log.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        piped_stdout: bool = False,
        command: tuple[str, ...] = (COMMAND,),
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.stdout_path = directory / "stdout"
        self.log_path = directory / "stderr"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SONDA_")}
        # Appended to, so that a reader may empty them.
        with self.stdout_path.open("ab") as output, self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", "0", "--bind", "127.0.0.1", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped_stdout else output,
                stderr=log,
                env={**inherited, "RUST_LOG": "info", **(environment or {})},
                # A session of its own finds every descendant again, whoever its parent is by then.
                start_new_session=True,
                pass_fds=pass_fds,
                bufsize=0,
            )
        self.pid = self.process.pid
        try:
            self.announce_line = self._announced(piped_stdout)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"the daemon did not announce its port: {self.log()}") from error
        self.port: int = json.loads(self.announce_line)["sonda_server"]["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self._session = new_session()

    @property
    def stdout(self) -> BinaryIO:
        """The read end of the pipe."""
        assert self.process.stdout is not None
        return self.process.stdout  # type: ignore[return-value]  # unbuffered binary, as asked for

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send one request, on a connection that is kept; for one thread at a time."""
        return self._session.request(method, self.url + path, **{"timeout": REQUEST_SECS, **options})

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.request("DELETE", path, **options)

    def post_yaml(self, body: str | bytes, path: str = "/scenarios", **options: Any) -> requests.Response:
        return self.request("POST", path, data=body, **{"headers": {"Content-Type": "text/yaml"}, **options})

    def post(self, body: Any, path: str = "/scenarios", **options: Any) -> requests.Response:
        """POST `body` as JSON."""
        return self.request("POST", path, json=body, **options)

    def launch(self, body: Json | str) -> list[Json]:
        """POST a body, JSON or YAML text, that must be accepted; returns what was launched, in entry order.

        Beyond the daemon's time limit, which a busy machine may exceed, nothing is launched, and it is tried again.
        """

        def tried() -> list[requests.Response]:
            answer = self.post_yaml(body) if isinstance(body, str) else self.post(body)
            return [] if answer.status_code == 408 else [answer]

        (answer,) = wait_until(tried, "a launch in time", 2 * REQUEST_SECS)
        assert answer.status_code == 201, answer.text
        return answer.json().get("scenarios", [answer.json()])

    def stats(self, scenario_id: str) -> Json:
        answer = self.get(f"/scenarios/{scenario_id}/stats")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait_for_state(self, scenario_id: str, state: str, timeout_secs: float = 30) -> Json:
        """Poll until the scenario is in `state`; returns its stats then."""
        reached = lambda: (stats := self.stats(scenario_id))["state"] == state and stats  # noqa: E731
        return wait_until(reached, f"{scenario_id} is {state}", timeout_secs) or {}

    def wait_for_events(self, scenario_id: str, count: int = 1, timeout_secs: float = 30) -> Json:
        """Poll until at least `count` events were delivered; returns the stats then."""
        reached = lambda: (stats := self.stats(scenario_id))["total_events"] >= count and stats  # noqa: E731
        return wait_until(reached, f"{scenario_id} has delivered {count} events", timeout_secs) or {}

    def log(self) -> str:
        """What the daemon has written to standard error so far."""
        return self.log_path.read_text(errors="replace")

    def log_lines(self, text: str) -> list[str]:
        """The log's lines that contain `text`."""
        return [line for line in self.log().splitlines() if text in line]

    def wait_for_log(self, text: str) -> list[str]:
        """The log's lines that contain `text`, once there is one: lines are written beside what they tell."""
        return wait_until(lambda: self.log_lines(text), f"the log says {text!r}")

    def descendants(self) -> list[psutil.Process]:
        """Every process of the daemon's session besides itself."""
        return [process for process in members_of_session(self.pid) if process.pid != self.pid]

    def worker(self, scenario_id: str) -> psutil.Process:
        """The process that runs a scenario, found by its title."""
        what = f"a worker shows that it runs {scenario_id}"
        return wait_until(lambda: titled(self.descendants(), scenario_id), what)[0]

    def stop(self, number: int = signal.SIGTERM, timeout_secs: float = STOP_SECS) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout_secs)

    def kill(self) -> None:
        """SIGKILL to the daemon and to whatever there is of it."""
        for process in members_of_session(self.pid):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(STOP_SECS)

    def assert_nothing_left(self, timeout_secs: float = 30) -> None:
        """Assert that no process remains of a daemon that has ended; its shared memory goes with the last one."""
        assert self.process.returncode is not None, "the daemon is still running"
        wait_until(lambda: not members_of_session(self.pid), "no process is left", timeout_secs)

    def close(self) -> None:
        """Give back what the test itself holds."""
        self._session.close()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _announced(self, piped_stdout: bool) -> bytes:
        if piped_stdout:
            os.set_blocking(self.stdout.fileno(), False)
            line = b""

            def grown() -> bool:
                nonlocal line
                # One byte at a time: what follows the line belongs to the test.
                while not line.endswith(b"\n") and (byte := self.stdout.read(1)):
                    line += byte
                return self._spoken_or_dead(line)

            wait_until(grown, "the announce line on stdout", START_SECS)
            os.set_blocking(self.stdout.fileno(), True)
        else:
            wait_until(lambda: self._spoken_or_dead(self.stdout_path.read_bytes()), "the announce line", START_SECS)
            line = b"".join(self.stdout_path.read_bytes().partition(b"\n")[:2])
        assert line, f"the daemon ended with exit code {self.process.poll()}"
        return line

    def _spoken_or_dead(self, output: bytes) -> bool:
        return b"\n" in output or self.process.poll() is not None


def new_session() -> requests.Session:
    """Return an HTTP session that ignores proxies and credentials of the environment."""
    session = requests.Session()
    session.trust_env = False
    return session
