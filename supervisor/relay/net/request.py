"""HTTP/1.1 requests from bytes, without any I/O: feed what arrived, get one complete request or a refusal.

::

    start line, headers ──► HEAD ──► BODY (Content-Length) ──► DONE
                              └────► CHUNK SIZE ⇄ CHUNK DATA ──► TRAILER ──► DONE

Strict where leniency invites request smuggling: CRLF line ends only, no folding, no blank before a colon, one framing.
Every part has a bound, so that a reader never holds more than head and body limits together.

Source: RFC 9112; docs/relay.md, "Reports".
"""

import enum
import re
from typing import Final

from supervisor.relay.net.answer import RefusedRequestError, malformed
from supervisor.relay.net.head import parse_field, read_head

_CHUNK_SIZE: Final = re.compile(r"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
# A wrong line end, the first bytes of a TLS client, and whatever else is not text.
_NOT_IN_A_HEAD: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MAX_CHUNK_LINE_BYTES: Final = 1024


class _RequestPart(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    CHUNK_SIZE = enum.auto()
    CHUNK_DATA = enum.auto()
    TRAILER = enum.auto()
    DONE = enum.auto()


class RelayRequest:
    """One request. `body_fault` is set instead of a whole body when the body is longer than allowed."""

    __slots__ = ("body", "body_fault", "headers", "method", "target")

    def __init__(self, method: str, target: str, headers: dict[str, list[str]]) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = b""
        self.body_fault: RefusedRequestError | None = None

    def values(self, name: str) -> list[str]:
        """Return all values of the header `name` (lower case)."""
        return self.headers.get(name, [])


class RequestReader:
    """Collects one request. `request` exists from the end of its head on, `complete` says that it may be answered."""

    def __init__(self, max_head_bytes: int, max_body_bytes: int) -> None:
        self.request: RelayRequest | None = None
        self.complete = False
        self.excess = False
        self._max_head_bytes = max_head_bytes
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._body = bytearray()
        self._stage = _RequestPart.HEAD
        self._missing = 0
        self._scanned = 0
        self._may_skip_line = True
        self._trailer_bytes = 0
        self._expects_continue = False

    def feed(self, received: bytes) -> None:
        """Take bytes as they arrived.

        Raises:
            RefusedError: the bytes are no request; the connection is to be closed after the answer.
        """
        self._buffer += received
        while not self.complete and self._step():
            pass
        self.excess = self.complete and bool(self._buffer)

    def wants_continue(self) -> bool:
        """Return True once, when the client waits for `100 Continue` before it sends its body."""
        wanted = self._expects_continue and not self.complete and not self._buffer and not self._body
        self._expects_continue = False
        return wanted and self.request is not None

    def _step(self) -> bool:
        """Make one step of progress; False when more bytes are needed."""
        if self._stage is _RequestPart.HEAD:
            return self._read_head()
        if self._stage is _RequestPart.CHUNK_SIZE:
            return self._read_chunk_size()
        if self._stage is _RequestPart.TRAILER:
            return self._read_trailer()
        return self._read_bytes()

    def _read_head(self) -> bool:
        buffer = self._buffer
        if self._may_skip_line and len(buffer) >= 2:  # RFC 9112, 2.2: one empty line before is tolerated
            self._may_skip_line = False
            if buffer.startswith(b"\r\n"):
                del buffer[:2]
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if (end + 4 if end >= 0 else len(buffer)) > self._max_head_bytes:
            raise RefusedRequestError(431, "RequestTooLarge", f"request header exceeds {self._max_head_bytes} bytes")
        if end < 0:
            self._refuse_what_no_head_holds(buffer)
            if not self._may_skip_line:
                self._scanned = len(buffer)
            return False
        head = read_head(bytes(buffer[: end + 2]))
        del buffer[: end + 4]
        self.request = RelayRequest(head.method, head.target, head.headers)
        if head.fault is not None:
            raise RefusedRequestError(*head.fault)
        self._expects_continue = head.expects_continue
        if head.body_bytes is None:
            self._stage = _RequestPart.CHUNK_SIZE
        elif head.body_bytes == 0:
            self.complete = True
        else:
            self._missing = head.body_bytes
            self._stage = _RequestPart.BODY
            if head.body_bytes > self._max_body_bytes:
                self._too_large(self.request)
        return True

    def _refuse_what_no_head_holds(self, buffer: bytearray) -> None:
        """Refuse at once what will never be a head: its peer would wait for an answer, and we for an empty line."""
        match = _NOT_IN_A_HEAD.search(buffer, max(0, self._scanned - 1))
        if match is None or (match.end() == len(buffer) and match[0] == b"\r"):
            return
        raise malformed("lines must end with CRLF" if match[0] in b"\r\n" else "a control character in the head")

    def _read_bytes(self) -> bool:
        taken = self._buffer[: self._missing]
        if not taken:
            return False
        del self._buffer[: len(taken)]
        self._body += taken
        self._missing -= len(taken)
        if self._missing == 0:
            if self._stage is _RequestPart.BODY:
                self._finish()
            elif not self._body.endswith(b"\r\n"):
                raise malformed("bad chunk: data longer than its size")
            else:
                del self._body[-2:]
                self._stage = _RequestPart.CHUNK_SIZE
        return True

    def _read_chunk_size(self) -> bool:
        line = self._line(_MAX_CHUNK_LINE_BYTES, "chunk size")
        if line is None:
            return False
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise malformed("bad chunk size")
        chunk_bytes = int(match[1], 16)
        if chunk_bytes == 0:
            self._stage = _RequestPart.TRAILER
        elif len(self._body) + chunk_bytes > self._max_body_bytes and self.request is not None:
            self._too_large(self.request)
        else:
            self._missing = chunk_bytes + 2
            self._stage = _RequestPart.CHUNK_DATA
        return True

    def _read_trailer(self) -> bool:
        line = self._line(self._max_head_bytes, "trailer")
        if line is None:
            return False
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > self._max_head_bytes:
            raise RefusedRequestError(431, "RequestTooLarge", f"request trailer exceeds {self._max_head_bytes} bytes")
        if line == "":
            self._finish()
        elif parse_field(line) is None:
            raise malformed("malformed trailer line")
        return True

    def _line(self, max_bytes: int, what: str) -> str | None:
        end = self._buffer.find(b"\n", 0, max_bytes)
        if end < 0:
            if len(self._buffer) >= max_bytes:
                raise malformed(f"{what} line too long")
            return None
        line = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 1]
        if not line.endswith("\r"):
            raise malformed("lines must end with CRLF")
        return line[:-1]

    def _too_large(self, request: RelayRequest) -> None:
        request.body_fault = RefusedRequestError(
            413, "RequestTooLarge", f"request body exceeds {self._max_body_bytes} bytes"
        )
        self.complete = True

    def _finish(self) -> None:
        self._stage = _RequestPart.DONE
        self.complete = True
        if self.request is not None:
            self.request.body = bytes(self._body)
