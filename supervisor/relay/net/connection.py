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
import socket
import time
from collections.abc import Callable
from typing import Final

from supervisor.host.loop import READ, WRITE
from supervisor.relay.net.answer import RefusedRequestError, RelayAnswer
from supervisor.relay.net.exchange import Caller, RelayExchange
from supervisor.relay.net.http import Http
from supervisor.relay.net.request import RequestReader

_RECV_BYTES: Final = 65536
_LINGER_SECS: Final = 2.0
_MAX_LINGER_BYTES: Final = 16 << 20
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _ConnectionStage(enum.Enum):
    READING = enum.auto()
    SERVING = enum.auto()
    WRITING = enum.auto()
    LINGERING = enum.auto()
    CLOSED = enum.auto()


class ClientConnection:
    """An accepted socket. `deadline` is monotonic; None while the answer is being worked out.

    Args:
        sock: non-blocking; owned from now on.
        http: limits, envelope and records.
        caller: the verdict about the peer.
        serve: answers the request, now or later.
        on_closed: called once, when the connection is gone.
    """

    __slots__ = (
        "_bytes_in",
        "_discarded",
        "_http",
        "_on_closed",
        "_out",
        "_reader",
        "_serve_request",
        "_sock",
        "_stage",
        "_started",
        "_watched",
        "caller",
        "deadline",
    )

    def __init__(
        self,
        sock: socket.socket,
        http: Http,
        caller: Caller,
        serve: Callable[[RelayExchange], None],
        on_closed: Callable[["ClientConnection"], None],
    ) -> None:
        self.caller = caller
        self._sock = sock
        self._http = http
        self._serve_request = serve
        self._on_closed = on_closed
        self._reader = RequestReader(http.max_header_bytes, http.max_body_bytes)
        self._stage = _ConnectionStage.READING
        self._out: memoryview = memoryview(b"")
        self._bytes_in = 0
        self._discarded = 0
        self._watched: _ConnectionStage | None = None
        self._started = time.monotonic()
        self.deadline: float | None = self._started + http.request_timeout_secs

    def start(self) -> None:
        """Read what may have arrived together with the connection."""
        self._read()

    def is_idle(self) -> bool:
        """Return whether no request head has arrived yet."""
        return self._stage is _ConnectionStage.READING and self._reader.request is None

    def close(self) -> None:
        """Drop the connection."""
        if self._stage is not _ConnectionStage.CLOSED:
            self._stage = _ConnectionStage.CLOSED
            self._unwatch()
            self._sock.close()
            self._on_closed(self)

    def _read(self) -> None:
        try:
            received = self._sock.recv(_RECV_BYTES)
        except BlockingIOError:
            self._watch(READ, self._read)
            return
        except OSError:
            self.close()
            return
        if not received:
            self.close()
            return
        self._bytes_in += len(received)
        try:
            self._reader.feed(received)
        except RefusedRequestError as refused:
            self._serve(refused)
            return
        if self._reader.complete:
            self._serve(None)
            return
        if self._reader.wants_continue():
            with contextlib.suppress(OSError):
                self._sock.send(_CONTINUE)
        self._watch(READ, self._read)

    def _serve(self, refused: RefusedRequestError | None) -> None:
        self._stage = _ConnectionStage.SERVING
        self.deadline = None
        self._unwatch()
        request = self._reader.request
        exchange = RelayExchange(request, self.caller, self._http.version_of(request), self._reply)
        if refused is not None:
            exchange.reply(refused.answer())
            return
        try:
            self._serve_request(exchange)
        except Exception as exc:  # noqa: BLE001 - one request's fault is not the end of the relay
            exchange.fail(exc)

    def _reply(self, exchange: RelayExchange, answer: RelayAnswer) -> None:
        if self._stage is not _ConnectionStage.SERVING:
            return  # dropped meanwhile
        elapsed_ms = int((time.monotonic() - self._started) * 1000)
        rendered = self._http.envelope.render(
            answer,
            request_id=exchange.request_id,
            version=exchange.version,
            elapsed_ms=elapsed_ms,
            head_only=exchange.request is not None and exchange.request.method == "HEAD",
        )
        self._stage = _ConnectionStage.WRITING
        self.deadline = time.monotonic() + self._http.request_timeout_secs
        self._out = memoryview(rendered)
        self._write()
        # Afterwards: the peer need not wait until this is counted and logged.
        self._http.record(exchange, answer, elapsed_ms, self._bytes_in, len(rendered))

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
        self._stage = _ConnectionStage.LINGERING
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
            self._http.loop.watch(self._sock.fileno(), callback, events)

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._watched = None
            self._http.loop.unwatch(self._sock.fileno())
