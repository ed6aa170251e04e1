"""A reload: the file is read on a thread, one reading at a time, and applied on the loop in small steps.

A thousand clients take a second to read and as many system calls to apply: no report waits for all of that.

Source: docs/relay.md, "Starting and stopping one client".
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from supervisor.host.loop import Loop
from supervisor.relay.config.reader import ConfigError
from supervisor.relay.config.records import Config
from supervisor.relay.threads import Threads

logger = logging.getLogger(__name__)

_STEP_SECS: Final = 0.001

Reloaded = Callable[[str | None], object]


class Reloader:
    """Carries out reloads one after the other; main thread only.

    Args:
        loop: where everything but the reading happens.
        read: returns the new configuration; called on a thread. Raises ConfigError.
        apply: makes it the running one, a little with each step.
        count: takes note of how a reload ended, `ok` or `error`.
    """

    def __init__(
        self,
        loop: Loop,
        read: Callable[[], Config],
        apply: Callable[[Config], Iterator[None]],
        count: Callable[[str], object],
    ) -> None:
        self._loop = loop
        self._read = read
        self._apply = apply
        self._count = count
        self._thread = Threads(loop, "reload", 1)
        self._asked: deque[Reloaded] = deque()
        self._is_running = False
        self._is_stopped = False

    def request(self, done: Reloaded = lambda _: None) -> None:
        """Reload as soon as possible; `done` is called with what is wrong with the file, None when nothing is."""
        self._asked.append(done)
        self._next()

    def stop(self) -> None:
        """Apply nothing more."""
        self._is_stopped = True

    def _next(self) -> None:
        if self._asked and not self._is_running:
            self._is_running = True
            done = self._asked.popleft()
            self._thread.submit(self._read, lambda result: self._use(result, done))

    def _use(self, result: Config | BaseException | None, done: Reloaded) -> None:
        if isinstance(result, Config) and not self._is_stopped:
            self._step(self._apply(result), done)
            return
        fault = "the relay is stopping" if self._is_stopped else str(result)
        if isinstance(result, BaseException) and not isinstance(result, ConfigError):
            logger.error("reading the configuration failed", exc_info=result)
        logger.error("configuration rejected, the previous one stays in force: %s", fault)
        self._end(fault, done)

    def _step(self, steps: Iterator[None], done: Reloaded) -> None:
        if self._is_stopped:
            self._end("the relay is stopping", done)
            return
        until = time.monotonic() + _STEP_SECS
        try:
            while time.monotonic() < until:
                next(steps)
        except StopIteration:
            logger.info("configuration reloaded")
            self._end(None, done)
        except Exception:
            logger.exception("applying the configuration failed")
            self._end("applying the configuration failed, see the relay's log", done)
        else:
            self._loop.soon(lambda: self._step(steps, done))

    def _end(self, fault: str | None, done: Reloaded) -> None:
        self._count("ok" if fault is None else "error")
        self._is_running = False
        done(fault)
        self._next()
