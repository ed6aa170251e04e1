"""When a check that has a ttl goes stale. Pure: `now` is monotonic seconds.

Source: docs/relay.md, "Reading the state".
"""

import heapq

from supervisor.relay.checks.state import Key


class Staleness:
    """The instants at which checks go stale unless an update comes before."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []

    def clear(self) -> None:
        """Forget everything."""
        self._due.clear()
        self._heap.clear()

    def expect(self, key: Key, due_secs: float) -> None:
        """`key` goes stale at `due_secs`; replaces an earlier instant."""
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
