"""Reading of requests: how much of a body is kept depends on the route, how much is read does not.

::

    control route       kept up to the limit │ dropped while it comes │ refused: answered now, then the connection ends
                        ─────────────────────┴────────────────────────┴──────────────────────────────────────────────►
                                     limit                 limit + DRAINED_BYTES                            body size
    any other route     dropped while it comes, however long

A client that sends a body a little too long gets the answer 413 and keeps the connection; an answer in the middle of
a long body would often be lost, because the sender only sees the connection break. Source: docs/http.md, "Limits".
"""

import io
from typing import Any, Final

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest

from supervisor.http.paths import is_control, raw_path

DRAINED_BYTES: Final = 16 * 1024 * 1024

_MAX_CHUNK_LINE_BYTES: Final = 1024
_MAX_TRAILER_BYTES: Final = 64 * 1024


class Limits(Adjustments):  # type: ignore[misc] # waitress has no types
    """What waitress reads of settings, and the limit of bodies.

    Args:
        max_body_bytes: how much of a control route's body is kept.
        settings: waitress's own.
    """

    def __init__(self, max_body_bytes: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.max_body_bytes = max_body_bytes
        # Nothing is refused for its size by waitress itself.
        self.max_request_body_size = float("inf")


class Body:
    """A body being received: its head, and how long it is.

    Args:
        kept_bytes: how much of it is kept.
    """

    def __init__(self, kept_bytes: int) -> None:
        self._kept_bytes = kept_bytes
        self._file = io.BytesIO()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, part: bytes) -> None:
        """Receive another part."""
        room = self._kept_bytes - self._length
        if room > 0:
            self._file.write(part[:room])
        self._length += len(part)

    def getfile(self) -> io.BytesIO:
        """Return what was kept, to be read from its start."""
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Forget it."""
        self._file.close()


class RequestParser(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """Receives one request; used in the I/O thread alone."""

    _is_limited = False
    _body = Body(0)

    def parse_header(self, header_plus: bytes) -> None:
        """Read the first line and the headers, and prepare for the body."""
        super().parse_header(header_plus)
        if self.body_rcv is None:
            return
        self._is_limited = is_control(raw_path(self.request_uri))
        limit = self.adj.max_body_bytes if self._is_limited else 0
        self._body = self.body_rcv.buf = Body(limit)
        tolerated = limit if self.expect_continue else limit + DRAINED_BYTES
        if self._is_limited and self.content_length > tolerated:
            self._stop_reading()

    def received(self, data: bytes) -> int:
        """Receive some bytes; returns how many of them belong to this request."""
        consumed: int = super().received(data)
        if self.chunked and not self.completed:
            self._check_chunks(self.body_rcv)
        return consumed

    def _check_chunks(self, chunks: ChunkedReceiver) -> None:
        if len(chunks.control_line) > _MAX_CHUNK_LINE_BYTES or len(chunks.trailer) > _MAX_TRAILER_BYTES:
            self.error = BadRequest("chunk size or trailer without end")
            self.completed = True
        elif self._is_limited and len(self._body) > self.adj.max_body_bytes + DRAINED_BYTES:
            self.headers["CONTENT_LENGTH"] = str(len(self._body))
            self._stop_reading()

    def _stop_reading(self) -> None:
        """Let the request be answered without the rest of its body, and the connection end after that."""
        self.body_rcv = None
        self.content_length = 0
        self.expect_continue = False
        self.headers["CONNECTION"] = "close"
        self.connection_close = True
        self.completed = True
