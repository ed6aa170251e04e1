"""HTTP on a bound socket: one I/O thread, and pools of threads that call the application.

::

    listening socket ──► I/O thread: accepts, reads, parses, flushes ──► pools.py: who serves what
                           waitress_parts.py: how
                           connections.py: who may stay · request_head.py: what is HTTP · request_body.py: what is kept

The I/O thread alone touches sockets. Other threads ask it by a thunk, so the main loop can stop the server without
racing its poll.
"""

import socket
import threading
import time
from typing import Final

from supervisor.http.pools import Pools
from supervisor.http.reception import Reception
from supervisor.http.request_body import ALL_BODIES_BYTES, ByteBudget
from supervisor.http.waitress_parts import Application, Server, WaitressSettings

_POLL_SECS: Final = 30.0
"""How long the I/O thread sleeps when nothing happens; it wakes by itself only to look for idle connections."""

_FLUSH_POLL_SECS: Final = 0.01


class HttpServer:
    """Serves one WSGI application until closed.

    Args:
        app: the application.
        listener: bound TCP socket; owned by the server from now on.
        reception: decides about requests by their heads.
        control_threads: how many control calls run at once, the others wait.
        observe_threads: how many other requests run at once.
        max_body_bytes: the application's own limit; more of a body is not kept.
    """

    def __init__(
        self,
        app: Application,
        listener: socket.socket,
        reception: Reception,
        *,
        control_threads: int,
        observe_threads: int,
        max_body_bytes: int,
    ) -> None:
        self._pools = Pools(control_threads, observe_threads)
        self._closing_at: float | None = None
        budget = ByteBudget(max(ALL_BODIES_BYTES, 2 * max_body_bytes))
        self._server = Server(app, listener, WaitressSettings(listener, reception, budget, max_body_bytes), self._pools)
        self._thread = threading.Thread(target=self._serve, name="http-io", daemon=True)

    def start(self) -> None:
        """Serve in a thread of its own; connections made before are answered now."""
        self._thread.start()

    def stop_accepting(self) -> None:
        """Close the listening socket; requests already accepted are still answered."""
        self._server.call_soon(self._server.stop_accepting)

    def close(self, timeout_secs: float) -> None:
        """Let requests in flight finish and their answers leave, for `timeout_secs` at most; then close everything.

        A control call ends only when the main loop has answered it, so the loop must have done that before. Where
        calls were left running, closing again after they have ended gives back the last descriptors.
        """
        deadline = time.monotonic() + timeout_secs
        self.stop_accepting()
        self._pools.shutdown(timeout=timeout_secs)
        self._server.call_soon(lambda: self._close_when_flushed(deadline))
        self._thread.join(max(deadline - time.monotonic(), 0.0) + 10 * _FLUSH_POLL_SECS)
        if self._pools.ended() and not self._thread.is_alive():
            # A thread that is still busy would write to whatever has the trigger's descriptor by then.
            self._server.release()

    def _serve(self) -> None:
        while self._closing_at is None or (self._server.channels and time.monotonic() < self._closing_at):
            self._server.turn(_POLL_SECS if self._closing_at is None else _FLUSH_POLL_SECS)
        for channel in self._server.channels:
            channel.handle_close()

    def _close_when_flushed(self, deadline: float) -> None:
        self._closing_at = deadline
        for channel in self._server.channels:
            channel.close_when_flushed = True
