"""waitress on a bound socket: one I/O thread, and pools of threads that call the application.

::

    listening socket ──► I/O thread: accepts, reads, parses, flushes ──► pools.py: who serves what
                           connections.py: who may have a connection
                           request_body.py: how much is read

The I/O thread alone touches sockets and waitress's socket map. Other threads ask it by a thunk and the trigger, so the
main loop can stop the server without racing its poll.
"""

import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from waitress import wasyncore

from supervisor.http.connections import MAX_CONNECTIONS, Server
from supervisor.http.pools import Pools
from supervisor.http.request_body import Limits

_IDLE_SECS: Final = 120
"""Connections without traffic are closed after this; longer than any usual scrape interval."""

_MAX_HEADER_BYTES: Final = 64 * 1024
_RECEIVE_BYTES: Final = 64 * 1024
_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Longer answers wait for their client in a file instead of in memory."""

_POLL_SECS: Final = 30.0
"""How long the I/O thread sleeps when nothing happens; it wakes by itself only to look for idle connections."""

_FULL_POLL_SECS: Final = 1.0

_FLUSH_POLL_SECS: Final = 0.01


class HttpServer:
    """Serves one WSGI application until closed.

    Args:
        app: the application.
        listener: bound TCP socket; owned by the server from now on.
        control_threads: how many control calls run at once, the others wait.
        observe_threads: how many other requests run at once.
        max_body_bytes: the application's own limit; more of a body is not kept.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        listener: socket.socket,
        *,
        control_threads: int,
        observe_threads: int,
        max_body_bytes: int,
    ) -> None:
        self._pools = Pools(control_threads, observe_threads)
        self._sockets: dict[int, Any] = {}
        self._closing_at: float | None = None
        self._server = Server(
            app,
            self._sockets,
            dispatcher=self._pools,
            adj=Limits(
                max_body_bytes,
                sockets=[listener],
                ident="",
                connection_limit=MAX_CONNECTIONS,
                channel_timeout=_IDLE_SECS,
                max_request_header_size=_MAX_HEADER_BYTES,
                recv_bytes=_RECEIVE_BYTES,
                outbuf_overflow=_ANSWER_BYTES,
                log_socket_errors=False,
                clear_untrusted_proxy_headers=False,
            ),
            bind_socket=False,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            _sock=listener,
        )
        self._thread = threading.Thread(target=self._serve, name="http-io", daemon=True)

    def start(self) -> None:
        """Serve in a thread of its own; connections made before are answered now."""
        self._thread.start()

    def stop_accepting(self) -> None:
        """Close the listening socket; requests already accepted are still answered."""
        # The server's own close() would close the trigger too, which its threads still need.
        self._server.trigger.pull_trigger(lambda: wasyncore.dispatcher.close(self._server))

    def close(self, timeout_secs: float) -> None:
        """Let requests in flight finish and their answers leave, for `timeout_secs` at most; then close everything.

        A control call ends only when the main loop has answered it, so the loop must have done that before. Where
        calls were left running, closing again after they have ended gives back the last descriptors.
        """
        deadline = time.monotonic() + timeout_secs
        self.stop_accepting()
        self._pools.shutdown(timeout=timeout_secs)
        self._server.trigger.pull_trigger(lambda: self._close_when_flushed(deadline))
        self._thread.join(max(deadline - time.monotonic(), 0.0) + 10 * _FLUSH_POLL_SECS)
        if self._pools.ended() and not self._thread.is_alive():
            # A thread that is still busy would write to whatever has the trigger's descriptor by then.
            self._server.trigger.close()

    def _serve(self) -> None:
        while self._closing_at is None or (self._server.active_channels and time.monotonic() < self._closing_at):
            wasyncore.poll2(self._poll_secs(), self._sockets)
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()

    def _poll_secs(self) -> float:
        if self._closing_at is not None:
            return _FLUSH_POLL_SECS
        return _FULL_POLL_SECS if self._server.in_connection_overflow else _POLL_SECS

    def _close_when_flushed(self, deadline: float) -> None:
        self._closing_at = deadline
        for channel in self._server.active_channels.values():
            channel.close_when_flushed = True
