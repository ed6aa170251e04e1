"""The notify socket: one `<client>:start` or `<client>:stop` per connection, ended by end of file.

Source: docs/relay.md, "Starting and stopping one client".
"""

import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final

from supervisor.host.loop import Loop
from supervisor.relay.admin.counters import RelayCounters
from supervisor.relay.config.records import LocalSocket
from supervisor.relay.net.identity import peer_of
from supervisor.relay.net.unixsock import BoundSocket

logger = logging.getLogger(__name__)

_MAX_MESSAGE_BYTES: Final = 256
_TIMEOUT_SECS: Final = 2.0
_MAX_OPEN: Final = 64


def parse_message(received: bytes) -> tuple[str, str] | None:
    """Return (client, command), or None when the message is not one."""
    if len(received) > _MAX_MESSAGE_BYTES:
        return None
    text = received.decode("ascii", "replace")
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    name, colon, command = text.partition(":")
    if not colon or not name or command not in ("start", "stop"):
        return None
    return name, command


class NotifySocket:
    """Accepts messages from the allowed uids; `command` carries one out and returns the answer line."""

    def __init__(
        self,
        bound: BoundSocket,
        settings: LocalSocket,
        loop: Loop,
        counters: RelayCounters,
        command: Callable[[str, str], str],
    ) -> None:
        self._bound = bound
        self._allow_uids = settings.allow_uids
        self._loop = loop
        self._counters = counters
        self._command = command
        self._open: set[_Message] = set()
        loop.watch(bound.sock.fileno(), self._accept)

    def close(self) -> None:
        """Remove the socket and drop unfinished messages."""
        self._bound.unlink()
        self._loop.unwatch(self._bound.sock.fileno())
        self._bound.sock.close()
        for message in list(self._open):
            message.close()

    def _accept(self) -> None:
        try:
            sock, _ = self._bound.sock.accept()
        except OSError:
            return
        sock.setblocking(False)
        try:
            peer = peer_of(sock)
        except OSError:
            sock.close()
            return
        if peer.uid not in self._allow_uids or len(self._open) >= _MAX_OPEN:
            reason = "notify_uid" if peer.uid not in self._allow_uids else "notify_busy"
            self._counters.denied["", reason] += 1
            logger.warning("closed a connection to the notify socket: %s (pid %d, uid %d)", reason, peer.pid, peer.uid)
            sock.close()
            return
        message = _Message(sock, self._loop, self._finish)
        self._open.add(message)
        message.read()

    def _finish(self, message: "_Message", received: bytes | None) -> None:
        self._open.discard(message)
        if received is None:
            return
        parsed = parse_message(received)
        if parsed is None:
            logger.warning("ignored a message on the notify socket: %r", received[:_MAX_MESSAGE_BYTES])
            message.answer("error bad message")
        else:
            message.answer(self._command(*parsed))


class _Message:
    """One connection until its end of file or its deadline."""

    def __init__(self, sock: socket.socket, loop: Loop, finish: Callable[["_Message", bytes | None], None]) -> None:
        self._sock = sock
        self._loop = loop
        self._finish = finish
        self._received = b""
        self._timer = loop.after(_TIMEOUT_SECS, self.close)
        loop.watch(sock.fileno(), self.read)

    def read(self) -> None:
        try:
            received = self._sock.recv(_MAX_MESSAGE_BYTES + 1)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._received += received
        if not received or len(self._received) > _MAX_MESSAGE_BYTES:
            self._finish(self, self._received)
            self.close()

    def answer(self, line: str) -> None:
        with contextlib.suppress(OSError):  # the sender need not wait for it
            self._sock.send(f"{line}\n".encode())

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._timer.cancel()
            self._loop.unwatch(self._sock.fileno())
            self._sock.close()
            self._finish(self, None)
