"""THE loop of the main thread: waits for everything, calls whoever asked for it.

::

    signal handlers ──byte──┐
    HTTP threads ──post()───┼──► wake-up pipe ─┐
    control pipes of workers ──────────────────┼──► epoll ──► callbacks, one after the other, none of which waits
    sentinels of workers ──────────────────────┘      ▲
    timers ─────────────────────── time-out ──────────┘

Nothing but `post` may be called from another thread.
"""

import heapq
import itertools
import os
import selectors
import signal
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

Callback = Callable[[], object]

SHUTDOWN_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_POSTED: Final = b"\0"


class Timer:
    """A callback at an instant, until it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Never call back; nothing happens when the timer has fired."""
        self.callback = None


class Loop:
    """Waits on descriptors, timers, signals and posted calls."""

    def __init__(self) -> None:
        self._selector = selectors.EpollSelector()
        self._posted: SimpleQueue[Callback] = SimpleQueue()
        self._open_for_posts = True
        self._posting = threading.Lock()
        self._timers: list[tuple[int, int, Timer]] = []
        self._sequence = itertools.count()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._woken)
        self._stopped = False

    def catch_signals(self, on_signal: Callback) -> None:
        """Call back on the loop for every SIGINT and SIGTERM from now on; must be called on the main thread."""
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        for number in SHUTDOWN_SIGNALS:
            # A handler that only queues: anything more could run in the middle of anything.
            signal.signal(number, lambda *_: self._posted.put(on_signal))

    def watch(self, descriptor: int, callback: Callback) -> None:
        """Call back whenever `descriptor` is readable or at end of file."""
        self._selector.register(descriptor, selectors.EVENT_READ, callback)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching; nothing happens when `descriptor` is not watched. To be called before it is closed."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def after(self, delay_secs: float, callback: Callback) -> Timer:
        """Call back once, `delay_secs` from now."""
        timer = Timer(callback)
        when_ns = time.monotonic_ns() + round(delay_secs * 1e9)
        heapq.heappush(self._timers, (when_ns, next(self._sequence), timer))
        return timer

    def every(self, period_secs: float, callback: Callback) -> None:
        """Call back now and then every `period_secs`, for as long as the loop runs."""
        callback()
        self.after(period_secs, lambda: self.every(period_secs, callback))

    def post(self, callback: Callback) -> bool:
        """Call back soon, on the loop; callable from any thread. Returns False when the loop takes no more calls."""
        with self._posting:
            if not self._open_for_posts:
                return False
            self._posted.put(callback)
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
        self._make_posted_calls()

    def stop(self) -> None:
        """Make `run` return after this round."""
        self._stopped = True

    def run(self, between: Callable[[int], int | None]) -> None:
        """Serve until `stop`.

        Args:
            between: called before every wait with the monotonic time; returns when it wants to be called again (ns)
                although nothing happens, or None.
        """
        while not self._stopped:
            for key, _ in self._selector.select(self._timeout_secs(between)):
                # An earlier callback of this round may have stopped watching.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()
            self._fire_timers()

    def close(self) -> None:
        """Give the descriptors back; signals do nothing from now on."""
        signal.set_wakeup_fd(-1)
        for number in SHUTDOWN_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._selector.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _timeout_secs(self, between: Callable[[int], int | None]) -> float | None:
        wanted_ns = between(time.monotonic_ns())
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        instants_ns = [when_ns for when_ns, _, _ in self._timers[:1]]
        if wanted_ns is not None:
            instants_ns.append(wanted_ns)
        return max(min(instants_ns) - time.monotonic_ns(), 0) / 1e9 if instants_ns else None

    def _fire_timers(self) -> None:
        now_ns = time.monotonic_ns()
        while self._timers and self._timers[0][0] <= now_ns:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                timer.callback()

    def _woken(self) -> None:
        os.read(self._wake_reader, 4096)
        self._make_posted_calls()

    def _make_posted_calls(self) -> None:
        while True:
            try:
                callback = self._posted.get_nowait()
            except Empty:
                return
            callback()
