"""THE loop of a main thread, control plane or relay: waits for everything, calls those that asked for it.

::

    signal handlers ──byte──┐
    other threads ──post()──┼──► wake-up pipe ─┐
    sockets, pipes, sentinels ─────────────────┼──► epoll ──► callbacks, one after the other, none of which waits
                                               │      ▲
    timers ────────────────────── time-out ────┴──────┘

One turn calls what is ready, then timers, then posts, then what was asked for `soon`. Level-triggered epoll: a turn
costs what is ready, not what is open. A callback that raises is logged and ends nothing but itself.

Nothing but `post` may be called from another thread.
"""

import heapq
import itertools
import logging
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

logger = logging.getLogger(__name__)

Callback = Callable[[], object]

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
SHUTDOWN_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_WITHOUT_MEANING: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
_POSTED: Final = b"\0"
_WAKE_BYTES: Final = 4096
# What is ready together shares a turn, and so a commit of the relay; timers and posts must not wait for all of a flood.
_CALLS_PER_TURN: Final = 64
_REST_SECS: Final = 1.0


class Timer:
    """A callback at an instant, until it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Never call back; nothing happens when the timer has fired."""
        self.callback = None


class _Watch(NamedTuple):
    callback: Callback
    events: int


class Loop:
    """Waits on descriptors, timers, signals and posted calls."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watches: dict[int, _Watch] = {}
        self._unwatched: set[int] = set()
        self._resting: dict[int, Timer] = {}
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()
        self._soon: deque[Callback] = deque()
        self._posted: deque[Callback] = deque()
        self._signalled: deque[Callback] = deque()
        self._posting = threading.Lock()
        self._open_for_posts = True
        self._stopped = False
        self._caught: set[int] = set()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watch(self._wake_reader, self._drain_wakes)

    def catch_signals(self, on_signal: Callback, numbers: Collection[int] = SHUTDOWN_SIGNALS) -> None:
        """Call back on the loop for each of these signals from now on; must be called on the main thread.

        That comes before all else that is ready: of a signal to the whole group a child may have told the consequences.
        Signals that mean nothing to us are ignored from now on, for by default they end a process.
        """
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        for number in numbers:
            # A handler that only queues: anything more could run in the middle of anything.
            signal.signal(number, lambda *_: self._signalled.append(on_signal))
        self._caught.update(numbers)
        for number in _WITHOUT_MEANING:
            signal.signal(number, signal.SIG_IGN)

    def watch(self, descriptor: int, callback: Callback, events: int = READ) -> None:
        """Call back whenever `descriptor` is ready for `events` or at its end; replaces an earlier watch of it."""
        if self._resting:
            self._end_rest(descriptor)
        if descriptor in self._watches:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._watches[descriptor] = _Watch(callback, events)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching; nothing happens when `descriptor` is not watched. To be called before it is closed."""
        if self._resting:
            self._end_rest(descriptor)
        if self._watches.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)
            # The number may be watched again before this turn is over, by a caller that is not ready.
            self._unwatched.add(descriptor)

    def soon(self, callback: Callback) -> None:
        """Call back after everything that is ready in this turn."""
        self._soon.append(callback)

    def after(self, delay_secs: float, callback: Callback) -> Timer:
        """Call back once, `delay_secs` from now."""
        timer = Timer(callback)
        when_ns = time.monotonic_ns() + round(delay_secs * 1e9)
        heapq.heappush(self._timers, (when_ns, next(self._order), timer))
        return timer

    def every(self, period_secs: float, callback: Callback) -> None:
        """Call back now and then every `period_secs`, for as long as the loop runs."""
        self.after(period_secs, lambda: self.every(period_secs, callback))
        callback()

    def post(self, callback: Callback) -> bool:
        """Call back soon, on the loop; callable from any thread. Returns False when the loop takes no more calls."""
        with self._posting:
            if not self._open_for_posts:
                return False
            self._posted.append(callback)
            try:
                os.write(self._wake_writer, _POSTED)
            except BlockingIOError:
                # The pipe is full of wake-ups, so the loop will come by.
                return True
        return True

    def refuse_posts(self) -> None:
        """Make the calls that were posted, and take no more."""
        with self._posting:
            self._open_for_posts = False
        _make_all(self._posted)

    def stop(self) -> None:
        """Make `run` return after this turn."""
        self._stopped = True

    def run(
        self, between: Callable[[int], int | None] | None = None, until: Callable[[], bool] = lambda: False
    ) -> None:
        """Serve until `stop`.

        Args:
            between: called before every wait with the monotonic time; returns when it wants to be called again (ns)
                although nothing happens, or None.
            until: asked before every wait; True ends the serving as well.
        """
        while not (self._stopped or until()):
            self.turn(None if between is None else self._wanted_ns(between))

    def turn(self, until_ns: int | None = None) -> None:
        """Wait until there is something to do, or until the monotonic time `until_ns`, and do it."""
        watches, unwatched = self._watches, self._unwatched
        calls = 0
        ready = self._epoll.poll(self._timeout_secs(until_ns), _CALLS_PER_TURN)
        while ready:
            unwatched.clear()
            _make_all(self._signalled)
            for descriptor, _ in ready:
                watch = watches.get(descriptor)
                if watch is not None and descriptor not in unwatched:
                    try:
                        watch.callback()
                    except Exception:
                        logger.exception("A callback of the main loop failed.")
                        self._rest(descriptor, watch)
            calls += len(ready)
            ready = self._epoll.poll(0, _CALLS_PER_TURN) if calls < _CALLS_PER_TURN else []
        self._fire_timers()
        _make_all(self._posted)
        for _ in range(len(self._soon)):
            _make(self._soon.popleft())

    def close(self) -> None:
        """Give the descriptors back; signals do nothing from now on."""
        with self._posting:
            self._open_for_posts = False
        if self._caught:
            signal.set_wakeup_fd(-1)
        for number in self._caught:
            signal.signal(number, signal.SIG_IGN)
        self._epoll.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _wanted_ns(self, between: Callable[[int], int | None]) -> int | None:
        now_ns = time.monotonic_ns()
        try:
            return between(now_ns)
        except Exception:
            logger.exception("A step of the main loop failed.")
            return now_ns + round(_REST_SECS * 1e9)

    def _timeout_secs(self, until_ns: int | None) -> float | None:
        if self._soon or self._posted or self._signalled:
            return 0.0
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if self._timers and (until_ns is None or self._timers[0][0] < until_ns):
            until_ns = self._timers[0][0]
        return None if until_ns is None else max(until_ns - time.monotonic_ns(), 0) / 1e9

    def _fire_timers(self) -> None:
        if not self._timers:
            return
        now_ns = time.monotonic_ns()
        while self._timers and self._timers[0][0] <= now_ns:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                _make(callback)

    def _rest(self, descriptor: int, watch: _Watch) -> None:
        """Ignore a descriptor whose callback failed: it is still ready, and would fail again at once."""
        if self._watches.get(descriptor) is watch:
            self.unwatch(descriptor)
            self._resting[descriptor] = self.after(
                _REST_SECS, lambda: self.watch(descriptor, watch.callback, watch.events)
            )

    def _end_rest(self, descriptor: int) -> None:
        timer = self._resting.pop(descriptor, None)
        if timer is not None:
            timer.cancel()

    def _drain_wakes(self) -> None:
        os.read(self._wake_reader, _WAKE_BYTES)


def _make_all(callbacks: deque[Callback]) -> None:
    while callbacks:
        _make(callbacks.popleft())


def _make(callback: Callback) -> None:
    try:
        callback()
    except Exception:
        logger.exception("A callback of the main loop failed.")
