"""Threads that run one blocking call each and hand the result back to the loop."""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from supervisor.host.loop import Loop

T = TypeVar("T")


class Threads:
    """Up to `limit` daemon threads, started when needed: a call that never returns cannot hold up the exit."""

    def __init__(self, loop: Loop, name: str, limit: int) -> None:
        self._loop = loop
        self._name = name
        self._limit = limit
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._unfinished = 0
        self._threads = 0

    def submit(self, call: Callable[[], T], done: Callable[[T | BaseException | None], None]) -> None:
        """Run `call` on a thread, then `done` on the loop with its result, or with the exception it raised."""

        def run() -> None:
            result: T | BaseException
            try:
                result = call()
            except Exception as exc:  # noqa: BLE001 - handed over to `done`, which decides
                result = exc
            self._loop.post(lambda: self._finish(result, done))

        self._unfinished += 1
        self._calls.put(run)
        if self._threads < min(self._unfinished, self._limit):
            self._threads += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._threads}", daemon=True).start()

    def _finish(self, result: T | BaseException, done: Callable[[T | BaseException | None], None]) -> None:
        self._unfinished -= 1
        done(result)

    def _serve(self) -> None:
        while True:
            self._calls.get()()
