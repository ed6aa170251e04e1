"""A server of another project, started on loopback for one test and ended with it."""

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import requests

from tests.support.live_server import new_session
from tests.support.polling import wait_until

START_SECS = 30
STOP_SECS = 10


class RunningProgram:
    """One process, its log and an HTTP session.

    Args:
        command: what to start; it stays in the foreground.
        directory: its own, for the log.
        is_ready: whether it serves; may fail to connect.
    """

    def __init__(self, command: list[str], directory: Path, is_ready: Callable[[requests.Session], bool]) -> None:
        self.session = new_session()
        self._log_path = directory / f"{Path(command[0]).name}.log"
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory)
        try:
            wait_until(lambda: self._serves(is_ready), f"{command[0]} serves", START_SECS)
        except AssertionError:
            self.stop()
            raise

    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def stop(self) -> None:
        """End it and wait; safe twice."""
        self.session.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECS)

    def _serves(self, is_ready: Callable[[requests.Session], bool]) -> bool:
        assert self._process.poll() is None, self.log()
        with contextlib.suppress(requests.ConnectionError):
            return is_ready(self.session)
        return False
