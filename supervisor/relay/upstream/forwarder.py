"""Which spool entry is sent upstream next, and when a failed one is tried again. Pure: `now` is monotonic seconds.

::

    tracked keys:   ready (take turns) ──next──► in flight ──► settled ──► ready or untracked
                      ▲                             │
                      └──── delayed until ◄── retry │

At most one entry of a key is in flight, always its oldest, so the order per key holds.

Source: docs/relay.md, "Forwarding".
"""

import enum
import heapq
import random
from collections import deque
from collections.abc import Iterable
from typing import Final

from common.http_answer import retry_after_secs
from supervisor.relay.checks.state import Key
from supervisor.relay.config.records import UpstreamSettings
from supervisor.relay.upstream.spool import SpoolEntry, WaitingEntries

MAX_RETRY_AFTER_SECS: Final = 300.0
_RETRIED: Final = frozenset({408, 425, 429})


class Result(enum.Enum):
    """What an attempt came to."""

    OK = enum.auto()
    REJECTED = enum.auto()
    RETRY = enum.auto()
    UNAUTHORIZED = enum.auto()
    FORBIDDEN = enum.auto()
    UNREACHABLE = enum.auto()


def classify(status: int) -> Result:
    """Return what an HTTP status means for the entry."""
    if 200 <= status < 300:
        return Result.OK
    if status == 401:
        return Result.UNAUTHORIZED
    if status == 403:
        return Result.FORBIDDEN
    if status in _RETRIED or status >= 500:
        return Result.RETRY
    # 3xx: this API redirects nowhere, so the address is not one of its servers.
    return Result.REJECTED if status >= 400 else Result.UNREACHABLE


def asked_wait_secs(retry_after: str | None, wall_secs: float) -> float:
    """Return the seconds that a `Retry-After` header asks for, 0 when absent or unreadable, at most five minutes."""
    return min(MAX_RETRY_AFTER_SECS, retry_after_secs(retry_after, wall_secs))


class Forwarder:
    """The schedule of one upstream."""

    def __init__(self, spool: WaitingEntries, upstream: UpstreamSettings, rng: random.Random) -> None:
        self.in_flight = 0
        self.unauthorized = False
        self._spool = spool
        self._rng = rng
        self._tracked: set[Key] = set()
        self._in_flight_keys: set[Key] = set()
        self.reconfigure(upstream)

    def reconfigure(self, upstream: UpstreamSettings) -> None:
        """Use new settings and forget every pause."""
        self._upstream = upstream
        self.flush()

    def flush(self) -> None:
        """Forget backoffs and pauses; everything pending may be sent at once."""
        self._ready: deque[Key] = deque()
        self._delayed: list[tuple[float, Key]] = []
        self._attempts: dict[Key, int] = {}
        self._held: dict[str, float] = {}
        self._failures = 0
        self._paused_until = 0.0
        self.unauthorized = False
        self._tracked = set(self._in_flight_keys)
        self.track(self._spool.keys())

    def track(self, keys: Iterable[Key]) -> None:
        """Take note that `keys` have durable entries."""
        for key in keys:
            if key not in self._tracked:
                self._tracked.add(key)
                self._ready.append(key)

    def held_clients(self, now: float) -> list[str]:
        """Return the clients that the upstream does not accept."""
        return sorted(client for client, until in self._held.items() if until > now)

    def retry_in_secs(self, now: float) -> float:
        """Return how long the whole upstream is paused."""
        return max(0.0, self._paused_until - now)

    def next_entry(self, now: float) -> SpoolEntry | None:
        """Return the entry to send now, marked busy; None when nothing may be sent."""
        if self._paused_until > now or self.in_flight >= self._upstream.concurrency:
            return None
        if (self._failures or self.unauthorized) and self.in_flight:
            return None  # one probe at a time while the upstream is down
        while self._delayed and self._delayed[0][0] <= now:
            self._ready.append(heapq.heappop(self._delayed)[1])
        while self._ready:
            key = self._ready.popleft()
            entry = self._spool.oldest(key)
            if entry is None or not entry.durable:
                self._tracked.discard(key)  # tracked again when its entries are committed
            elif self._held.get(key[0], 0.0) > now:
                heapq.heappush(self._delayed, (self._held[key[0]], key))
            else:
                entry.busy = True
                self.in_flight += 1
                self._in_flight_keys.add(key)
                return entry
        return None

    def next_wake(self, now: float) -> float | None:
        """Return when to ask again if nothing happens before; None when only an event can change the answer."""
        due = [at for at, _ in self._delayed[:1]]
        if self._ready:
            due = [now]
        return max(self._paused_until, due[0]) if due else None

    def finished(self, entry: SpoolEntry, result: Result, now: float, wait_secs: float = 0.0) -> None:
        """Take the result of an attempt; after OK and REJECTED the caller settles the entry, then calls `settled`."""
        self.in_flight -= 1
        if result is Result.UNREACHABLE:
            self._pause_all(now)
        else:
            self._failures = 0
        if result is Result.UNAUTHORIZED:
            self.unauthorized = True
            self._paused_until = now + self._upstream.backoff.max_secs
        elif result is not Result.UNREACHABLE:
            self.unauthorized = False
        if result is Result.FORBIDDEN:
            self._held[entry.key[0]] = now + self._upstream.backoff.max_secs
        elif result is Result.OK:
            self._held.pop(entry.key[0], None)
        if result in (Result.OK, Result.REJECTED):
            self._attempts.pop(entry.key, None)
            return
        self._in_flight_keys.discard(entry.key)
        entry.busy = False
        if result is Result.RETRY:
            attempts = self._attempts.get(entry.key, 0)
            self._attempts[entry.key] = attempts + 1
            heapq.heappush(self._delayed, (now + max(wait_secs, self._backoff_secs(attempts)), entry.key))
        else:
            # Behind the others: an entry that makes the upstream fall silent is not the only one that is probed.
            self._ready.append(entry.key)

    def skip(self, entry: SpoolEntry) -> None:
        """Take back an entry that will not be sent; the caller settles it, then calls `settled`."""
        self.in_flight -= 1
        self._attempts.pop(entry.key, None)

    def settled(self, entry: SpoolEntry) -> None:
        """The end of `entry` is durable: its key goes on."""
        self._in_flight_keys.discard(entry.key)
        self._tracked.discard(entry.key)
        if self._spool.oldest(entry.key) is not None:
            self.track([entry.key])

    def _pause_all(self, now: float) -> None:
        if now >= self._paused_until:  # not once more for every request that failed together
            self._paused_until = now + self._backoff_secs(self._failures)
            self._failures += 1

    def _backoff_secs(self, attempts: int) -> float:
        full_secs = min(self._upstream.backoff.max_secs, self._upstream.backoff.initial_secs * 2.0 ** min(attempts, 60))
        return full_secs * (1.0 - self._upstream.backoff.jitter * self._rng.random())
