"""The relay's event loop: ready descriptors, timers, and calls handed in by other threads; one thread, no locks.

Level-triggered epoll: the cost of a turn depends on what is ready, not on how many sockets are open.
"""

import contextlib
import heapq
import itertools
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final

Callback = Callable[[], None]

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
_WAKE: Final = b"\0"
# What is ready together shares a turn, and so a commit; timers and hand-overs must not wait for all of a flood.
_CALLBACKS_PER_TURN: Final = 64


class Timer:
    """A call that is due at some monotonic time."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Forget the call."""
        self.callback = None


class Loop:
    """Runs callbacks until `stop`. Only `call_threadsafe` may be called from another thread or a signal handler."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._soon: deque[Callback] = deque()
        self._handed_in: deque[Callback] = deque()
        self._running = True
        self._wake_reader, self._wake_writer = socket.socketpair()
        for end in (self._wake_reader, self._wake_writer):
            end.setblocking(False)
        self.watch(self._wake_reader.fileno(), READ, self._drain_wakes)

    def wake_fd(self) -> int:
        """Return a descriptor that ends the wait when a byte is written, for `signal.set_wakeup_fd`."""
        return self._wake_writer.fileno()

    def watch(self, fd: int, events: int, callback: Callback) -> None:
        """Call `callback` whenever `fd` is ready; replaces an earlier watch of the same descriptor."""
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Stop watching `fd`; must be called before it is closed."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_soon(self, callback: Callback) -> None:
        """Call after everything that is ready in this turn."""
        self._soon.append(callback)

    def call_later(self, delay_secs: float, callback: Callback) -> Timer:
        """Call once after `delay_secs`."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + delay_secs, next(self._order), timer))
        return timer

    def call_threadsafe(self, callback: Callback) -> None:
        """Call soon, from any thread."""
        self._handed_in.append(callback)
        with contextlib.suppress(BlockingIOError):  # full of wakes already
            self._wake_writer.send(_WAKE)

    def run(self) -> None:
        """Serve until `stop` is called."""
        while self._running:
            self.run_once()

    def stop(self) -> None:
        """End `run` after this turn."""
        self._running = False

    def run_once(self, max_wait_secs: float = 60.0) -> None:
        """Wait for something to do, at most `max_wait_secs`, and do it until nothing is ready any more."""
        callbacks = self._callbacks
        made = 0
        ready = self._epoll.poll(self._wait_secs(max_wait_secs), _CALLBACKS_PER_TURN)
        while ready:
            for fd, _ in ready:
                callback = callbacks.get(fd)
                if callback is not None:
                    callback()
            made += len(ready)
            ready = self._epoll.poll(0, _CALLBACKS_PER_TURN) if made < _CALLBACKS_PER_TURN else []
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                timer.callback()
        for _ in range(len(self._handed_in)):
            self._handed_in.popleft()()
        while self._soon:
            self._soon.popleft()()

    def close(self) -> None:
        """Release the descriptors."""
        self._epoll.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def _wait_secs(self, max_wait_secs: float) -> float:
        if self._soon or self._handed_in:
            return 0.0
        if self._timers:
            return min(max_wait_secs, max(0.0, self._timers[0][0] - time.monotonic()))
        return max_wait_secs

    def _drain_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_reader.recv(4096):
                pass
