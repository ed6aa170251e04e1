"""Which connections have to go when there are too many, or too much that nobody reads. Pure.

A connection is *idle* when nothing of it is being worked on: it has sent nothing, half a request, or does not read its
answer. Beyond IDLE_LIMIT connections each new one takes the place of the longest idle one, so that no number of idle
clients keeps anybody out. Beyond MAX_CONNECTIONS, which only control calls that wait can fill, new clients wait.
"""

import heapq
from collections.abc import Collection
from typing import Final, Protocol, TypeVar

IDLE_LIMIT: Final = 1024
MAX_CONNECTIONS: Final = 4 * IDLE_LIMIT
IDLE_SECS: Final = 120
"""Connections without traffic are closed after this; longer than any usual scrape interval."""

UNREAD_LIMIT_BYTES: Final = 256 * 1024 * 1024
"""Of all answers together that their clients have not taken yet."""

FULL_POLL_SECS: Final = 1.0
SPARED_SECS: Final = 1.0
"""A client that has just come or been active may have sent a request that was not read yet."""


class Connection(Protocol):
    """What is asked of a connection.

    Attributes:
        last_activity: when something was received or sent, seconds since the epoch.
    """

    last_activity: float

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is being worked on."""
        ...

    @property
    def unread_bytes(self) -> int:
        """How much of an answer its client has not taken yet."""
        ...


C = TypeVar("C", bound=Connection)


def longest_idle(open_connections: Collection[C], now: float, count: int = 1) -> list[C]:
    """Return which connections make room for so many others; fewer where more are busy or young."""
    idle = [one for one in open_connections if one.is_idle and one.last_activity < now - SPARED_SECS]
    return heapq.nsmallest(count, idle, key=lambda one: one.last_activity)


def too_long_unread(open_connections: Collection[C], now: float) -> C | None:
    """Return who has not read for the longest time when unread answers take more than they may; else None."""
    if sum(one.unread_bytes for one in open_connections) <= UNREAD_LIMIT_BYTES:
        return None
    unread = [one for one in open_connections if one.unread_bytes and one.last_activity < now - SPARED_SECS]
    return min(unread, key=lambda one: one.last_activity, default=None)
