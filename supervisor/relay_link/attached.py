"""The relay child on the control plane's main loop: its end and its deadlines become events of the loop.

Runs in the control plane's process, on its main thread.

Source: docs/relay.md, "Beside the control plane".
"""

import time
from collections.abc import Callable
from typing import Final

from supervisor.host.loop import Callback, Loop, Timer
from supervisor.relay_link.child import RelayChild

_UNWATCHED_SECS: Final = 1.0
"""How often to look for the end of a relay that no descriptor tells about."""


class AttachedRelay:
    """Keeps a relay running from `start` to `stop`.

    Args:
        loop: the main thread's loop.
        child: the relay.
        on_stopped: called when a relay that was told to stop is gone.
    """

    def __init__(self, loop: Loop, child: RelayChild, on_stopped: Callback) -> None:
        self._loop = loop
        self._child = child
        self._on_stopped = on_stopped
        self._stopping = False
        self._watched: int | None = None
        self._timer: Timer | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process that has not been seen to end."""
        return self._child.running

    def start(self) -> None:
        """Start the relay; whenever it ends it is started again, later and later."""
        self._turn(self._child.start)

    def stop(self, grace_secs: float) -> None:
        """Ask the relay to stop, and kill it after `grace_secs`; the last of several calls holds."""
        self._stopping = True
        self._turn(lambda now: self._child.stop(now, grace_secs))

    def _look(self) -> None:
        self._turn(self._child.poll)

    def _turn(self, step: Callable[[float], None]) -> None:
        """Let the child make a step, and wait for whatever it waits for afterwards."""
        # Before the step, which closes the descriptor of a relay that has ended.
        if self._watched is not None:
            self._loop.unwatch(self._watched)
        if self._timer is not None:
            self._timer.cancel()
        now = time.monotonic()
        step(now)
        self._watched = self._child.sentinel
        if self._watched is not None:
            self._loop.watch(self._watched, self._look)
        deadline = self._child.next_deadline
        if deadline is None and self.running and self._watched is None:
            deadline = now + _UNWATCHED_SECS
        self._timer = None if deadline is None else self._loop.after(max(deadline - now, 0), self._look)
        if self._stopping and not self.running:
            self._on_stopped()
