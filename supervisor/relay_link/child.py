"""The relay as a child of the control plane: when to start it, start it again, and give up waiting for its end.

Runs in the control plane's process, driven by its main loop: nothing here waits, `now` is monotonic seconds.

Source: docs/relay.md, "Beside the control plane".
"""

import logging
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from supervisor.host.interpreter import command

logger = logging.getLogger(__name__)

FIRST_DELAY_SECS: Final = 1.0
MAX_DELAY_SECS: Final = 30.0
# A relay that ran this long has not died of how it was started.
STEADY_SECS: Final = 60.0
STOP_GRACE_SECS: Final = 10.0


class Process(Protocol):
    """What is needed of a started process; `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        ...

    def send_signal(self, sig: int) -> None:
        """Send a signal, if it still runs."""
        ...


def launch(arguments: Sequence[str]) -> Process:
    """Start a process that signals of our terminal do not reach: two of them would cut its drain short."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0
    )


class RelayChild:
    """Keeps one relay running until `stop`.

    The loop waits for `sentinel` to become readable or for `next_deadline`, and calls `poll` either way.
    """

    def __init__(
        self, config_file: str, launch: Callable[[Sequence[str]], Process] = launch, *, log_as_json: bool = False
    ) -> None:
        self._arguments = (*command("supervisor.relay.__main__", "run()"), "--config", config_file)
        if log_as_json:
            self._arguments += ("--log-format", "json")
        self._launch = launch
        self._process: Process | None = None
        self._pidfd: int | None = None
        self._started_at = 0.0
        self._delay_secs = FIRST_DELAY_SECS
        self._deadline: float | None = None
        self._stopping = False

    @property
    def sentinel(self) -> int | None:
        """A descriptor that is readable when the running relay has ended."""
        return self._pidfd

    @property
    def next_deadline(self) -> float | None:
        """When `poll` has something to do even if nothing ends."""
        return self._deadline

    @property
    def running(self) -> bool:
        """Whether a relay was started whose end has not been seen."""
        return self._process is not None

    def start(self, now: float) -> None:
        """Start the relay; one that cannot be started counts as one that ended at once."""
        self._deadline = None
        self._started_at = now
        try:
            self._process = self._launch(self._arguments)
        except OSError as exc:
            logger.error("the relay cannot be started: %s", exc)  # noqa: TRY400
            self._restart_later(now)
            return
        self._pidfd = _pidfd(self._process.pid)
        logger.info("relay started, process %d", self._process.pid)

    def poll(self, now: float) -> None:
        """Notice an end, start again when that is due, kill a relay that does not stop."""
        if self._process is not None:
            code = self._process.poll()
            if code is not None:
                self.on_exit(code, now)
        if self._deadline is None or now < self._deadline:
            return
        if self._process is None:
            self.start(now)
        else:
            logger.warning("the relay did not stop in time and is killed")
            self._process.send_signal(signal.SIGKILL)
            self._deadline = None

    def on_exit(self, code: int, now: float) -> None:
        """Take note that the relay ended with `code` (negative: by that signal)."""
        self._process = None
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        if self._stopping:
            self._deadline = None
            logger.info("the relay exited with code %d", code)
            return
        if now - self._started_at >= STEADY_SECS:
            self._delay_secs = FIRST_DELAY_SECS
        logger.warning("the relay exited with code %d; starting it again in %g s", code, self._delay_secs)
        self._restart_later(now)

    def stop(self, now: float, grace_secs: float = STOP_GRACE_SECS) -> None:
        """Ask the relay to stop and start it no more; `running` tells when it is gone, which takes `grace_secs`."""
        self._stopping = True
        self._deadline = None
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._deadline = now + grace_secs

    def _restart_later(self, now: float) -> None:
        self._deadline = now + self._delay_secs
        self._delay_secs = min(MAX_DELAY_SECS, 2 * self._delay_secs)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
