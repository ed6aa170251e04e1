"""One daemon that serves many tests one after the other, as if each had it to itself."""

import os
import uuid
from pathlib import Path

from tests.support.live_server import LiveServer
from tests.support.polling import wait_until
from tests.support.processes import titled


class SharedServer:
    """A daemon with default settings; each test finds nothing running, an empty log and the announce line on stdout.

    Args:
        directory: for the files of each daemon that is started, one after the other.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server: LiveServer | None = None
        self._started = 0

    def begin(self) -> LiveServer:
        """Return the daemon for the next test, a new one after a test that went wrong."""
        if self._server is None:
            directory = self._directory / str(self._started)
            directory.mkdir()
            self._started += 1
            self._server = LiveServer(directory)
            self._forget_output(self._server)
        return self._server

    def end(self) -> None:
        """Delete what the test has left running, and forget what was said of it.

        Raises:
            AssertionError: the daemon is gone, or a worker of the test is still there.
        """
        server = self._server
        assert server is not None
        self._server = None
        try:
            assert server.process.poll() is None, "the test has ended a daemon that is not its own"
            for row in server.get("/scenarios").json()["scenarios"]:
                assert server.delete(f"/scenarios/{row['id']}").status_code == 200
            wait_until(lambda: not titled(server.descendants(), "scenario"), "no worker of a scenario is left")
            assert "Traceback" not in server.log()
            self._forget_output(server)
        except BaseException:
            server.kill()
            server.close()
            raise
        self._server = server

    def close(self) -> None:
        """Stop the daemon; it must exit with 0, and nothing may be left of it."""
        if self._server is None:
            return
        try:
            assert self._server.stop() == 0
            self._server.assert_nothing_left()
        finally:
            self._server.kill()
            self._server.close()

    @staticmethod
    def _forget_output(server: LiveServer) -> None:
        # Lines are written in their order: once this one is there, none of the test can follow.
        mark = f"mark-{uuid.uuid4()}"
        refused = server.post({"version": 2, "scenarios": [{"signal_type": "logs"}], mark: 1})
        assert mark in refused.json()["detail"]
        server.wait_for_log(mark)
        os.truncate(server.log_path, 0)
        os.truncate(server.stdout_path, len(server.announce_line))
