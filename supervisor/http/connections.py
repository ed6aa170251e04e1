"""Connections: who may have one, and how an answer leaves.

Builds on waitress's server and channel. A connection is *idle* when nothing of it is being worked on: it has sent
nothing, half a request, or does not read its answer. Beyond IDLE_LIMIT connections each new one takes the place of the
longest idle one, so that no number of idle clients keeps anybody out. Beyond MAX_CONNECTIONS, which only control calls
that wait can fill, new clients wait.
"""

import errno
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import WSGITask

from supervisor.http.request_body import RequestParser

IDLE_LIMIT: Final = 1024
MAX_CONNECTIONS: Final = 4 * IDLE_LIMIT

SPARED_SECS: Final = 1.0
"""A client that has just come or been active may have sent a request that was not read yet."""

_NO_DESCRIPTOR_SECS: Final = 0.05

Headers = list[tuple[str, str]]


class Exchange(WSGITask):  # type: ignore[misc] # waitress has no types
    """One request and its answer, which leaves in one piece."""

    def execute(self) -> None:
        """Call the application and send what it answers."""
        application: Callable[..., Iterable[bytes]] = self.channel.server.application
        body = b"".join(application(self.get_environment(), self._begin))
        self.content_length = len(body)
        head: bytes = self.build_response_header()
        self.wrote_header = True
        self.channel.write_soon(head + body if self.has_body else head)

    def set_close_on_finish(self) -> None:
        """End the connection after the answer, unless all that waitress misses is the length of an empty one."""
        if self.has_body or self.version != "1.1" or self.request.connection_close:
            super().set_close_on_finish()

    def _begin(self, status: str, headers: Headers, exc_info: object = None) -> None:
        del exc_info
        self.complete = True
        self.status = status
        self.response_headers = list(headers)


class Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """One connection.

    Attributes:
        is_parked: whether its next request waits until the client has read the answer before; so no thread ever waits
            for a client, and a connection holds one answer at a time.
    """

    parser_class = RequestParser
    task_class = Exchange
    is_parked = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is being worked on."""
        return not self.requests or self.is_parked

    def readable(self) -> bool:
        """Return whether the I/O thread is to look at it when the client has sent something."""
        # The server closes idle connections right before these questions are asked. The number of such a descriptor
        # must not be waited for: it may be the next connection's by the time the answer comes.
        return bool(self.connected and super().readable())

    def writable(self) -> bool:
        """Return whether the I/O thread is to look at it when the client can receive."""
        return bool(self.connected and (self.is_parked or super().writable()))

    def handle_write(self) -> None:
        """Send what there is; go on with the next request when all has left."""
        super().handle_write()
        with self.requests_lock:
            if self.is_parked and not self.total_outbufs_len and self.connected:
                self.is_parked = False
                self.server.add_task(self)

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Do not wait: see `is_parked`."""


class Server(TcpWSGIServer):  # type: ignore[misc] # waitress has no types
    """Accepts connections; used in the I/O thread, but for `add_task`."""

    channel_class = Channel

    def add_task(self, channel: Channel) -> None:
        """Have the channel's next request served, or parked; called with its lock of requests held."""
        if channel.total_outbufs_len:
            channel.is_parked = True
            self.pull_trigger()
        else:
            super().add_task(channel)

    def readable(self) -> bool:
        """Return whether another connection may be accepted."""
        if len(self._map) >= self.adj.connection_limit:
            self._close_longest_idle()
        return bool(super().readable())

    def handle_accept(self) -> None:
        """Accept a connection, in the place of an idle one if there are many."""
        super().handle_accept()
        if len(self.active_channels) > IDLE_LIMIT:
            self._close_longest_idle()

    def accept(self) -> tuple[socket.socket, Any] | None:
        """Return a new connection and its address, None when there is none."""
        try:
            accepted: tuple[socket.socket, Any] | None = super().accept()
        except OSError as exc:
            if exc.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            if not self._close_longest_idle():
                # What is being served now will give descriptors back; meanwhile the backlog must not spin the thread.
                time.sleep(_NO_DESCRIPTOR_SECS)
            return None
        return accepted

    def _close_longest_idle(self) -> bool:
        spared_since = time.time() - SPARED_SECS
        channels = self.active_channels.values()
        idle = [channel for channel in channels if channel.is_idle and channel.last_activity < spared_since]
        if idle:
            min(idle, key=lambda channel: channel.last_activity).handle_close()
        return bool(idle)

    def maintenance(self, now: float) -> None:
        """Close connections that have been idle for too long."""
        for channel in list(self.active_channels.values()):
            if channel.is_idle and channel.last_activity < now - self.adj.channel_timeout:
                channel.handle_close()
