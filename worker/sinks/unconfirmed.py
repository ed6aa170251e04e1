"""Events that were written to a TCP connection, until the peer's system has confirmed them.

Source: tcp(7), TCP_INFO; `struct tcp_info` of <linux/tcp.h>, RFC 4898, tcpEStatsAppHCThruOctetsAcked.
"""

import socket
import struct
from collections import deque
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final

_CONFIRMED: Final = struct.Struct("=120xQ")
_MOST_WRITES: Final = 256


def confirmed_bytes(connection: socket.socket) -> int:
    """Return how many bytes the peer's system has confirmed, the start of the connection included.

    Raises:
        OSError: the operating system's.
    """
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _CONFIRMED.size)
    return int(_CONFIRMED.unpack(info)[0])


class Unconfirmed:
    """What was written to one connection, write by write.

    Args:
        connection: connected a moment ago, nothing was written to it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._start = confirmed_bytes(connection)
        self._written = 0
        self._writes: deque[tuple[int, int]] = deque()

    def wrote(self, payload_bytes: int, events: int) -> None:
        """Note a write of whole events."""
        self._written += payload_bytes
        self._writes.append((self._written, events))
        if len(self._writes) > _MOST_WRITES:
            self.events()
        if len(self._writes) > _MOST_WRITES:
            self._writes = deque(self._pairs())

    def events(self) -> int:
        """Return how many events were written in writes that are not confirmed whole."""
        confirmed = confirmed_bytes(self._connection) - self._start
        while self._writes and self._writes[0][0] <= confirmed:
            self._writes.popleft()
        return sum(events for _, events in self._writes)

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """Yield every two writes as one: what is confirmed in part counts as not confirmed."""
        writes = iter(self._writes)
        for (end, events), (later_end, more) in zip_longest(writes, writes, fillvalue=(0, 0)):
            yield max(end, later_end), events + more
