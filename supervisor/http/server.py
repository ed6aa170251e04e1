"""waitress on a bound socket, with several thread pools so that reading never queues behind waiting.

::

    listening socket ──► I/O thread: accepts, reads, parses, flushes
                           ├── control route ──► control pool: as many threads as requests may be in flight;
                           │                     they wait for the main loop, its queue is the wait for a permit
                           ├── /relay/…      ─► relay pool: waits for the relay, a second at most
                           └── any other path ─► observe pool: reads shared memory, answers at once

The I/O thread alone touches sockets and waitress's socket map. Other threads ask it by a thunk and the trigger, so the
main loop can stop the server without racing its poll.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from supervisor.http.paths import is_control, is_relay, raw_path

_MAX_CONNECTIONS: Final = 1024
_IDLE_SECS: Final = 120
"""Connections without traffic are closed after this; longer than any usual scrape interval."""

_MAX_HEADER_BYTES: Final = 64 * 1024
_BODY_MARGIN_BYTES: Final = 64 * 1024
"""Bodies a little above the limit reach the application, which answers 413 in the contract's order of checks."""

_POLL_SECS: Final = 30.0
"""How long the I/O thread sleeps when nothing happens; it wakes by itself only to look for idle connections."""

_FLUSH_POLL_SECS: Final = 0.01
_RELAY_THREADS: Final = 2


class HttpServer:
    """Serves one WSGI application until closed.

    Args:
        app: the application.
        listener: bound TCP socket; owned by the server from now on.
        control_threads: how many control calls run at once, the others wait.
        observe_threads: how many other requests run at once.
        max_body_bytes: the application's own limit; much larger bodies are refused while they are read.
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
        self._pools = _Pools(control_threads, observe_threads)
        self._sockets: dict[int, Any] = {}
        self._closing_at: float | None = None
        self._server = TcpWSGIServer(
            app,
            self._sockets,
            dispatcher=self._pools,
            adj=Adjustments(
                sockets=[listener],
                ident="",
                connection_limit=_MAX_CONNECTIONS,
                channel_timeout=_IDLE_SECS,
                max_request_header_size=_MAX_HEADER_BYTES,
                max_request_body_size=max_body_bytes + _BODY_MARGIN_BYTES,
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
            wasyncore.poll2(_POLL_SECS if self._closing_at is None else _FLUSH_POLL_SECS, self._sockets)
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()

    def _close_when_flushed(self, deadline: float) -> None:
        self._closing_at = deadline
        for channel in self._server.active_channels.values():
            channel.close_when_flushed = True


class _Pools:
    """waitress's task dispatcher: picks the pool by the request's path."""

    def __init__(self, control_threads: int, observe_threads: int) -> None:
        self._control = _pool(control_threads)
        self._relay = _pool(_RELAY_THREADS)
        self._observe = _pool(observe_threads)
        self._all = (self._control, self._relay, self._observe)

    def add_task(self, channel: Any) -> None:
        """Queue the channel's next request; called in the I/O thread or by a pool's own threads."""
        # A request that could not be parsed has no target.
        target = getattr(channel.requests[0], "request_uri", "")
        path = raw_path(target)
        pool = self._control if is_control(path) else self._relay if is_relay(path) else self._observe
        pool.add_task(channel)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> None:
        """Wait `timeout` seconds for running tasks to end; drop those still queued."""
        deadline = time.monotonic() + timeout
        for pool in self._all:
            pool.set_thread_count(0)
        for pool in self._all:
            pool.shutdown(cancel_pending, max(deadline - time.monotonic(), 0.0))

    def ended(self) -> bool:
        """Return whether no thread is left that could touch a channel."""
        return not any(pool.threads for pool in self._all)


def _pool(threads: int) -> ThreadedTaskDispatcher:
    pool = ThreadedTaskDispatcher()
    # A queue of control calls is the wait for a permit, nothing to warn about.
    pool.queue_logger = logging.getLogger(f"{__name__}.queue")
    pool.queue_logger.disabled = True
    pool.set_thread_count(threads)
    return pool
