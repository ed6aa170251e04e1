"""Unary calls of gRPC, one after the other, which a stop of the worker does not wait for.

::

    worker  ──request──► thread: makes the call and waits for its answer ──outcome──► worker
       └── waits for the bell that the thread rings, or for a stop

PERF: the library answers a call in the thread that made it at half the cost of one with a future, for which it starts a
thread of its own each time.
"""

import os
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

import grpc

from worker.control.waiting import Waiter

_JOIN_SECS: Final = 1.0
"""How long the thread may take to notice that its channel is closed."""


class UnaryCalls:
    """Calls of one method over one channel.

    Args:
        channel: closed with the calls.
        method: its full name.
        waiter: all waiting.
    """

    def __init__(self, channel: grpc.Channel, method: str, waiter: Waiter) -> None:
        self._channel = channel
        self._method: Any = channel.unary_unary(method)
        self._waiter = waiter
        self._requests: SimpleQueue[tuple[bytes, float] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[tuple[bytes, Any]] = SimpleQueue()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def make(self, request: bytes, timeout_secs: float) -> tuple[bytes, Any] | None:
        """Return the answer to a request, empty when it failed, and its call or error, which has code and details.

        None when a stop ended the wait: no other call can be made then.
        """
        self._requests.put((request, timeout_secs))
        # The library keeps to the timeout.
        if not self._waiter.until_readable(self._bell, timeout_secs + 1):
            return None
        os.eventfd_read(self._bell)
        return self._outcomes.get()

    def close(self) -> None:
        """End a call that is under way, and the thread."""
        self._channel.close()
        self._requests.put(None)
        self._thread.join(_JOIN_SECS)
        if not self._thread.is_alive():
            os.close(self._bell)

    def _serve(self) -> None:
        # A channel that is closed takes no call.
        with suppress(ValueError):
            while (work := self._requests.get()) is not None:
                request, timeout_secs = work
                try:
                    outcome: tuple[bytes, Any] = self._method.with_call(request, timeout=timeout_secs)
                except grpc.RpcError as exc:
                    outcome = (b"", exc)
                self._outcomes.put(outcome)
                os.eventfd_write(self._bell, 1)
