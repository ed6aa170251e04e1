"""All that is used of waitress and is not its public interface.

::

    Server (listening socket) ──accept──► Channel (a connection) ──bytes──► RequestParser ──► Exchange ──► answer

waitress 3 is kept because its loop, buffers and locks are proven; what it leaves open or does otherwise is overridden
here: strict heads, little kept before they are whole, bounded bodies, answers in one piece, and no thread that waits
for a client (docs/http.md, "Limits"). A test names every part that is called or overridden, and fails when a release
changes one. Nothing else of ours imports it.
"""

import errno
import io
import logging
import socket
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error

from supervisor.http import connections, request_head
from supervisor.http.paths import raw_path
from supervisor.http.reception import Reception
from supervisor.http.request_body import DRAINED_BYTES, HALF_HEADS_BYTES, ByteBudget, HalfHead, KeptBody
from supervisor.http.request_head import HeadFault
from supervisor.http.routes import Serves

_RECEIVE_BYTES: Final = 64 * 1024
_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Longer answers wait for their client in a file instead of in memory."""

_SHARED_BYTES: Final = 16 * 1024
_NO_DESCRIPTOR_SECS: Final = 0.05
_ACCEPTS_PER_TURN: Final = 64

Application = Callable[..., Iterable[bytes]]
Headers = list[tuple[str, str]]


class WaitressSettings(Adjustments):  # type: ignore[misc] # waitress has no types
    """What waitress reads of settings, and what ours read.

    Args:
        listener: the listening socket.
        reception: decides about requests by their heads.
        budget: what bodies are taken from.
        max_body_bytes: the application's own limit; a body that is longer by DRAINED_BYTES is read no further.
    """

    def __init__(self, listener: socket.socket, reception: Reception, budget: ByteBudget, max_body_bytes: int) -> None:
        super().__init__(
            sockets=[listener],
            ident="",
            connection_limit=connections.MAX_CONNECTIONS,
            channel_timeout=connections.IDLE_SECS,
            max_request_header_size=request_head.MAX_HEAD_BYTES,
            recv_bytes=_RECEIVE_BYTES,
            outbuf_overflow=_ANSWER_BYTES,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,
        )
        self.reception = reception
        self.budget = budget
        self.half_heads = ByteBudget(HALF_HEADS_BYTES)
        self.max_body_bytes = max_body_bytes
        # Nothing is refused for its size by waitress itself.
        self.max_request_body_size = float("inf")


class HeadRefusal(Error):  # type: ignore[misc] # noqa: N818 - waitress has no types; it is an answer
    """The answer to a request that the application never sees; its connection ends."""

    def __init__(self, fault: HeadFault) -> None:
        super().__init__(fault.text)
        self.code = fault.status
        self.reason = HTTPStatus(fault.status).phrase
        self._headers = fault.headers

    def to_response(self, ident: str | None = None) -> tuple[str, Headers, bytes]:
        """Return status line, headers and body."""
        del ident
        return f"{self.code} {self.reason}", self._headers, f"{self.body}\n".encode()


class RequestParser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """Receives one request; used in the I/O thread alone.

    Attributes:
        serves: which threads serve it.
    """

    serves = Serves.READ
    _body: KeptBody | None = None
    _is_limited = False

    def __init__(self, settings: WaitressSettings) -> None:
        super().__init__(settings)
        self._half_head = HalfHead(settings.half_heads)

    def received(self, data: bytes) -> int:
        """Receive some bytes; returns how many of them belong to this request."""
        is_head = not self.headers_finished and not self.completed
        if is_head and (fault := request_head.early_fault(self.header_plus + data)):
            self._refuse(fault)
            return len(data)
        consumed: int = super().received(data)
        if not self.headers_finished and not self.completed and not self._half_head.grew(len(self.header_plus)):
            self._refuse(HeadFault(503, "too many heads are being sent at once"))
        if self._body is not None and self._body.is_over_budget:
            self._refuse(HeadFault(503, "too many bodies are being sent at once"))
        elif self.chunked and not self.completed:
            self._check_chunks(self.body_rcv)
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Read the first line and the headers, and prepare for the body."""
        self._half_head.close()
        fault = request_head.head_fault(header_plus)
        if fault is not None:
            self._refuse(fault)
            return
        method, target, minor = request_head.start_line(header_plus)
        # waitress frames by the version 1.1 only, and refuses methods in lower case, which are merely unknown.
        first = f"{method.upper()} {target} HTTP/1.{minor}\r\n".encode("latin-1")
        super().parse_header(first + header_plus.partition(b"\r\n")[2])
        self.command = method
        self.connection_close = request_head.ends_connection(self.headers.get("CONNECTION", ""), minor)
        self.headers["CONNECTION"] = "close" if self.connection_close else "keep-alive"
        path = raw_path(target)
        reception: Reception = self.adj.reception
        self.serves = reception.threads(method, path)
        if self.body_rcv is None:
            return
        self._is_limited = reception.serves(path) is Serves.CONTROL
        kept = reception.kept_bytes(method, path, self._header, self.content_length)
        self._body = self.body_rcv.buf = KeptBody(kept, self.adj.budget)
        # Whoever asks first is told at once.
        is_told = self.expect_continue and (not kept or self.content_length > kept)
        if is_told or (self._is_limited and self.content_length > self.adj.max_body_bytes + DRAINED_BYTES):
            self._stop_reading()

    def get_body_stream(self) -> io.BytesIO:
        """Return what was kept of the body."""
        return io.BytesIO() if self.body_rcv is None else self.body_rcv.getfile()

    def close(self) -> None:
        """Forget head and body."""
        self._half_head.close()
        if self._body is not None:
            self._body.close()

    def _header(self, name: str) -> str | None:
        value: str | None = self.headers.get(name.upper().replace("-", "_"))
        return value

    def _check_chunks(self, chunks: ChunkedReceiver) -> None:
        fault = request_head.chunk_fault(chunks.control_line, chunks.trailer)
        if fault is not None:
            self._refuse(fault)
        elif self._is_limited and len(chunks) > self.adj.max_body_bytes + DRAINED_BYTES:
            self.headers["CONTENT_LENGTH"] = str(len(chunks))
            self._stop_reading()

    def _refuse(self, fault: HeadFault) -> None:
        self.close()
        self.error = HeadRefusal(fault)
        self.version = "1.1"
        self.expect_continue = False
        self.headers_finished = True
        self.completed = True

    def _stop_reading(self) -> None:
        """Let the request be answered without the rest of its body, and the connection end after that."""
        self.close()
        self.body_rcv = None
        self.content_length = 0
        self.expect_continue = False
        self.headers["CONNECTION"] = "close"
        self.connection_close = True
        self.completed = True


class Exchange(WSGITask):  # type: ignore[misc] # waitress has no types
    """One request and its answer, which leaves in one piece."""

    def execute(self) -> None:
        """Call the application and send what it answers."""
        application: Application = self.channel.server.application
        # waitress puts it in capitals.
        environment = {**self.get_environment(), "REQUEST_METHOD": self.request.command}
        body = b"".join(application(environment, self._begin))
        self.content_length = len(body)
        head: bytes = self.build_response_header()
        self.wrote_header = True
        if not self.has_body:
            self.channel.write_soon(head)
        elif len(body) < _SHARED_BYTES:
            self.channel.write_soon(head + body)
        else:
            # Not copied: however many clients do not read a document, it is there once.
            shared = ReadOnlyFileBasedBuffer(io.BytesIO(body))
            shared.prepare(len(body))
            self.channel.write_soon(head)
            self.channel.write_soon(shared)

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

    @property
    def unread_bytes(self) -> int:
        """How much of an answer its client has not taken yet."""
        return int(self.total_outbufs_len)

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

    def handle_close(self) -> None:
        """End the connection, and forget the body that was being received."""
        if self.request is not None:
            self.request.close()
        super().handle_close()

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Do not wait: see `is_parked`."""


class Server(TcpWSGIServer):  # type: ignore[misc] # waitress has no types
    """Accepts connections; used in the I/O thread, but for `add_task` and `call_soon`.

    Args:
        application: the WSGI application.
        listener: bound TCP socket; owned by the server from now on.
        settings: made for `listener`.
        dispatcher: gets every channel that has a request to be served.
    """

    channel_class = Channel
    _accepted = 0

    def __init__(
        self, application: Application, listener: socket.socket, settings: WaitressSettings, dispatcher: Any
    ) -> None:
        super().__init__(
            application,
            {},
            dispatcher=dispatcher,
            adj=settings,
            bind_socket=False,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            _sock=listener,
        )

    @property
    def channels(self) -> list[Channel]:
        """The open connections."""
        return list(self.active_channels.values())

    def turn(self, timeout_secs: float) -> None:
        """Wait until a socket is ready, and do what it is ready for."""
        # When it is full nobody is listened to, and nothing but time makes room.
        is_full = self.in_connection_overflow or len(self._map) >= self.adj.connection_limit
        wasyncore.poll2(connections.FULL_POLL_SECS if is_full else timeout_secs, self._map)

    def call_soon(self, thunk: Callable[[], object]) -> None:
        """Call back in the I/O thread; callable from any thread."""
        self.trigger.pull_trigger(thunk)

    def stop_accepting(self) -> None:
        """Close the listening socket alone: close() would close the trigger too, which the threads still need."""
        wasyncore.dispatcher.close(self)

    def release(self) -> None:
        """Give the last descriptors back; nobody may use the server any more."""
        self.trigger.close()

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
        unread = connections.too_long_unread(self.channels, time.time())
        if unread is not None:
            unread.handle_close()
        return bool(super().readable())

    def handle_accept(self) -> None:
        """Accept what waits, in the place of idle connections if there are many.

        Several in a turn, because a turn looks at every connection; who comes behind many others must not wait for so
        many turns. A descriptor that is closed here is nobody else's in this turn.
        """
        accepted = 0
        while self._accepted == accepted < _ACCEPTS_PER_TURN and len(self._map) < self.adj.connection_limit:
            super().handle_accept()
            accepted += 1
        self._accepted = 0
        excess = len(self.active_channels) - connections.IDLE_LIMIT
        if excess > 0:
            self._close_longest_idle(excess)

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
        self._accepted += accepted is not None
        return accepted

    def maintenance(self, now: float) -> None:
        """Close connections that have been idle for too long."""
        for channel in self.channels:
            if channel.is_idle and channel.last_activity < now - self.adj.channel_timeout:
                channel.handle_close()

    def _close_longest_idle(self, count: int = 1) -> bool:
        closing = connections.longest_idle(self.channels, time.time(), count)
        for channel in closing:
            channel.handle_close()
        return bool(closing)


def thread_pool(threads: int, logger_name: str) -> ThreadedTaskDispatcher:
    """Return running threads that serve channels, one request at a time each."""
    pool = ThreadedTaskDispatcher()
    # A queue of control calls is the wait for a permit, nothing to warn about.
    pool.queue_logger = logging.getLogger(logger_name)
    pool.queue_logger.disabled = True
    pool.set_thread_count(threads)
    return pool


def next_serves(channel: Channel) -> Serves:
    """Return which threads serve the channel's next request."""
    requests: list[RequestParser] = channel.requests
    return requests[0].serves
