"""When a check that has a ttl goes stale. Pure: `now` is monotonic seconds.

Source: docs/relay.md, "Reading the state".
"""

import heapq
from collections.abc import Callable, Iterable

from supervisor.relay.checks.state import Key


class Staleness:
    """When each check was last heard of, and the instants at which those with a ttl go stale."""

    def __init__(self) -> None:
        self._heard: dict[Key, float] = {}
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []

    def heard(self, key: Key, at_secs: float, ttl_secs: float | None) -> None:
        """There was an update of `key` at `at_secs`; the next one is due within `ttl_secs`, if ever."""
        self._heard[key] = at_secs
        if ttl_secs is not None:
            self._expect(key, at_secs + ttl_secs)

    def forget(self, keys: Iterable[Key]) -> None:
        """These checks are no more."""
        for key in keys:
            self._heard.pop(key, None)
            self._due.pop(key, None)

    def use(self, ttl_secs_of: Callable[[Key], float | None]) -> None:
        """Apply other ttls, each counted from the latest update; None for a check that does not go stale any more."""
        self._due.clear()
        self._heap.clear()
        for key, at_secs in self._heard.items():
            ttl_secs = ttl_secs_of(key)
            if ttl_secs is not None:
                self._expect(key, at_secs + ttl_secs)

    def _expect(self, key: Key, due_secs: float) -> None:
        # An instant that moved is put back when its old one is met: a busy check has one heap item, not one per update.
        if key not in self._due:
            heapq.heappush(self._heap, (due_secs, key))
        self._due[key] = due_secs

    def take_due(self, now_secs: float) -> list[Key]:
        """Return the keys that have become stale and forget them."""
        stale = []
        while self._heap and self._heap[0][0] <= now_secs:
            _, key = heapq.heappop(self._heap)
            due_secs = self._due.get(key)
            if due_secs is None:
                continue
            if due_secs > now_secs:
                heapq.heappush(self._heap, (due_secs, key))
            else:
                del self._due[key]
                stale.append(key)
        return stale
