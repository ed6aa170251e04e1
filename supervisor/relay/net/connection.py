"""One connection: read a request, have it answered, close. No keep-alive, so there is exactly one of each.

::

    READING ──complete──► SERVING ──reply──► WRITING ──► (LINGERING) ──► closed
       └── refused by the parser ──────────────┘

LINGERING reads and discards what the peer still sends: closing over unread bytes would reset the connection, and the
peer could lose the answer.

Source: RFC 9112, section 9.6; docs/relay.md, "Who may report what" and "Reports".
"""

import contextlib
import enum
import logging
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from supervisor.host.loop import READ, WRITE
from supervisor.relay.net.answer import Answer, RefusedError, new_request_id, request_uuid
from supervisor.relay.net.identity import Peer
from supervisor.relay.net.request import Request, RequestReader

if TYPE_CHECKING:
    from supervisor.relay.net.listener import Listener

logger = logging.getLogger(__name__)

_RECV_BYTES: Final = 65536
_LINGER_SECS: Final = 2.0
_MAX_LINGER_BYTES: Final = 16 << 20
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Caller(msgspec.Struct, frozen=True):
    """The verdict about a peer, taken at accept. `denied` is the attribute that did not match."""

    client: str = ""
    peer: Peer | None = None
    denied: str | None = None


class _Stage(enum.Enum):
    READING = enum.auto()
    SERVING = enum.auto()
    WRITING = enum.auto()
    LINGERING = enum.auto()
    CLOSED = enum.auto()


class Exchange:
    """One request on its way to its answer. `client` labels it once the identity is established."""

    __slots__ = ("_reply", "caller", "client", "duplicate", "request", "request_id", "supplied_id", "version")

    def __init__(
        self, request: Request | None, caller: Caller, version: str, reply: Callable[["Exchange", Answer], None]
    ) -> None:
        self.request = request
        self.caller = caller
        self.client = "" if caller.denied else caller.client
        self.version = version
        self.duplicate = False
        self.supplied_id = request_uuid(request.values("x-request-id")) if request is not None else None
        self.request_id = self.supplied_id or new_request_id()
        self._reply = reply

    def reply(self, answer: Answer) -> None:
        """Send the answer; called exactly once, on the main thread."""
        self._reply(self, answer)

    def fail(self, error: BaseException) -> None:
        """Answer 500 because of a fault here; the log has the whole story, the answer none of it."""
        logger.error("a request failed unexpectedly", exc_info=error)
        self.reply(RefusedError(500, "UnknownError", "unexpected fault, see the relay's log").answer())


class Connection:
    """An accepted socket. `deadline` is monotonic; None while the answer is being worked out."""

    __slots__ = (
        "_bytes_in",
        "_caller",
        "_discarded",
        "_listener",
        "_out",
        "_reader",
        "_sock",
        "_stage",
        "_started",
        "_watched",
        "deadline",
    )

    def __init__(self, sock: socket.socket, listener: "Listener", caller: Caller) -> None:
        limits = listener.http
        self._sock = sock
        self._listener = listener
        self._caller = caller
        self._reader = RequestReader(limits.max_header_bytes, limits.max_body_bytes)
        self._stage = _Stage.READING
        self._out: memoryview = memoryview(b"")
        self._bytes_in = 0
        self._discarded = 0
        self._watched: _Stage | None = None
        self._started = time.monotonic()
        self.deadline: float | None = self._started + limits.request_timeout_secs

    def start(self) -> None:
        """Read what may have arrived together with the connection."""
        self._read()

    def is_idle(self) -> bool:
        """Return whether no request head has arrived yet."""
        return self._stage is _Stage.READING and self._reader.request is None

    def close(self) -> None:
        """Drop the connection."""
        if self._stage is not _Stage.CLOSED:
            self._stage = _Stage.CLOSED
            self._unwatch()
            self._sock.close()
            self._listener.closed(self)

    def _read(self) -> None:
        try:
            octets = self._sock.recv(_RECV_BYTES)
        except BlockingIOError:
            self._watch(READ, self._read)
            return
        except OSError:
            self.close()
            return
        if not octets:
            self.close()
            return
        self._bytes_in += len(octets)
        try:
            self._reader.feed(octets)
        except RefusedError as refused:
            self._serve(refused)
            return
        if self._reader.complete:
            self._serve(None)
            return
        if self._reader.wants_continue():
            with contextlib.suppress(OSError):
                self._sock.send(_CONTINUE)
        self._watch(READ, self._read)

    def _serve(self, refused: RefusedError | None) -> None:
        self._stage = _Stage.SERVING
        self.deadline = None
        self._unwatch()
        http = self._listener.http
        exchange = Exchange(self._reader.request, self._caller, http.version_of(self._reader.request), self._reply)
        if refused is not None:
            exchange.reply(refused.answer())
            return
        try:
            self._listener.serve(exchange)
        except Exception as error:  # noqa: BLE001 - one request's fault is not the end of the relay
            exchange.fail(error)

    def _reply(self, exchange: Exchange, answer: Answer) -> None:
        if self._stage is not _Stage.SERVING:
            return  # dropped meanwhile
        elapsed_ms = int((time.monotonic() - self._started) * 1000)
        octets = self._listener.http.envelope.render(
            answer,
            request_id=exchange.request_id,
            version=exchange.version,
            elapsed_ms=elapsed_ms,
            head_only=exchange.request is not None and exchange.request.method == "HEAD",
        )
        self._stage = _Stage.WRITING
        self.deadline = time.monotonic() + self._listener.http.request_timeout_secs
        self._out = memoryview(octets)
        self._write()
        # The peer need not wait for the books.
        self._listener.http.record(exchange, answer, elapsed_ms, self._bytes_in, len(octets))

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._out)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._out = self._out[sent:]
        if self._out:
            self._watch(WRITE, self._write)
        elif self._must_linger():
            self._linger()
        else:
            self.close()

    def _must_linger(self) -> bool:
        reader = self._reader
        whole = reader.complete and not reader.excess and reader.request is not None
        return not whole or (reader.request is not None and reader.request.body_fault is not None)

    def _linger(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._stage = _Stage.LINGERING
        self.deadline = time.monotonic() + _LINGER_SECS
        self._watch(READ, self._discard)

    def _discard(self) -> None:
        try:
            discarded = len(self._sock.recv(_RECV_BYTES))
        except BlockingIOError:
            return
        except OSError:
            discarded = 0
        self._discarded += discarded
        if discarded == 0 or self._discarded > _MAX_LINGER_BYTES:
            self.close()

    def _watch(self, events: int, callback: Callable[[], None]) -> None:
        if self._watched is not self._stage:
            self._watched = self._stage
            self._listener.http.loop.watch(self._sock.fileno(), callback, events)

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._watched = None
            self._listener.http.loop.unwatch(self._sock.fileno())
