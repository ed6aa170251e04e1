"""How waitress is made to read requests: strict heads, little kept before they are whole, and bounded bodies.

Source: docs/http.md, "Limits". `waitress_parts.py` has the rest of what is used of waitress.
"""

import io
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from waitress.utilities import Error

from supervisor.http import connections
from supervisor.http.paths import raw_path
from supervisor.http.request_body import DRAINED_BYTES, ByteBudget, HalfHead, KeptBody
from supervisor.http.request_head import HeadFault, early_fault, head_fault, start_line
from supervisor.http.routes import Serves

_RECEIVE_BYTES: Final = 64 * 1024
_MAX_HEAD_BYTES: Final = 16 * 1024
_HALF_HEADS_BYTES: Final = 2 * 1024 * 1024
_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""Longer answers wait for their client in a file instead of in memory."""

_MAX_CHUNK_LINE_BYTES: Final = 1024
_MAX_TRAILER_BYTES: Final = 4 * 1024
_RETRY_SECS: Final = "1"

Headers = list[tuple[str, str]]


class Reception(Protocol):
    """Who decides about a request by its head."""

    def serves(self, path: str) -> Serves:
        """Return the class of `path`, still percent-encoded; bodies of control calls have a limit."""
        ...

    def threads(self, method: str, path: str) -> Serves:
        """Return which threads serve a request to `path`, still percent-encoded."""
        ...

    def kept_bytes(self, method: str, path: str, header: Callable[[str], str | None], body_bytes: int) -> int:
        """Return how much of a request's body may be kept."""
        ...


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
            max_request_header_size=_MAX_HEAD_BYTES,
            recv_bytes=_RECEIVE_BYTES,
            outbuf_overflow=_ANSWER_BYTES,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,
        )
        self.reception = reception
        self.budget = budget
        self.half_heads = ByteBudget(_HALF_HEADS_BYTES)
        self.max_body_bytes = max_body_bytes
        # Nothing is refused for its size by waitress itself.
        self.max_request_body_size = float("inf")


class HeadRefusal(Error):  # type: ignore[misc] # noqa: N818 - waitress has no types; it is an answer
    """The answer to a request that the application never sees; its connection ends."""

    def __init__(self, fault: HeadFault) -> None:
        super().__init__(fault.text)
        self.code = fault.status
        self.reason = HTTPStatus(fault.status).phrase

    def to_response(self, ident: str | None = None) -> tuple[str, Headers, bytes]:
        """Return status line, headers and body."""
        del ident
        headers = [("Content-Type", "text/plain; charset=utf-8")]
        if self.code == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append(("Retry-After", _RETRY_SECS))
        return f"{self.code} {self.reason}", headers, f"{self.body}\n".encode()


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
        if not self.headers_finished and not self.completed:
            fault = early_fault(self.header_plus + data)
            if fault is not None:
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
        fault = head_fault(header_plus)
        if fault is not None:
            self._refuse(fault)
            return
        method, target, minor = start_line(header_plus)
        # waitress frames by the version 1.1 only, and refuses methods in lower case, which are merely unknown.
        first = f"{method.upper()} {target} HTTP/1.{minor}\r\n".encode("latin-1")
        super().parse_header(first + header_plus.partition(b"\r\n")[2])
        self.command = method
        tokens = [token.strip().lower() for token in self.headers.get("CONNECTION", "").split(",")]
        self.connection_close = "close" in tokens or (minor == 0 and "keep-alive" not in tokens)
        self.headers["CONNECTION"] = "close" if self.connection_close else "keep-alive"
        path = raw_path(target)
        reception: Reception = self.adj.reception
        self.serves = reception.threads(method, path)
        if self.body_rcv is None:
            return
        self._is_limited = reception.serves(path) is Serves.CONTROL
        kept = reception.kept_bytes(method, path, self._header, self.content_length)
        self._body = self.body_rcv.buf = KeptBody(kept, self.adj.budget)
        limit = self.adj.max_body_bytes if self._is_limited else 0
        if self.expect_continue and (not kept or self.content_length > kept):
            # Whoever asks first is told at once.
            self._stop_reading()
        elif self._is_limited and self.content_length > limit + DRAINED_BYTES:
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
        line, trailer = chunks.control_line, chunks.trailer
        if len(line) > _MAX_CHUNK_LINE_BYTES or len(trailer) > _MAX_TRAILER_BYTES:
            self._refuse(HeadFault(400, "chunk size or trailer without end"))
        elif b"\n" in line or trailer.count(b"\n") != trailer.count(b"\r\n"):
            self._refuse(HeadFault(400, "lines end with CR LF"))
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
