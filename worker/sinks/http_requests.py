"""HTTP requests of a sink over one connection, kept alive.

::

    head, rendered once ─┐                       ┌─ a plain answer: status and length, one look
    body ────────────────┴─ one sendmsg ─► wait ─┤
                                                 └─ anything unusual: `http.client`, from the first byte on

Connecting and every wait are the worker's own, so that no receiver, however slow or broken, can keep it from noticing a
stop.
Source: docs/sinks.md, "What the answer means".
"""

import http.client
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from common.errors import SinkError, SinkOpenError
from common.http_answer import fields_of, plain_answer, retry_after_secs
from worker.control.waiting import Waiter
from worker.sinks.connect import connect
from worker.sinks.endpoint import Endpoint
from worker.sinks.http_causes import cause_of
from worker.sinks.http_headers import render_head
from worker.sinks.resolve import CONNECT_SECS
from worker.sinks.waiting_socket import WaitingSocket

REQUEST_SECS: Final = 30.0

_DRAIN_SECS: Final = 1.0
_DRAIN_BYTES: Final = 64 * 1024
"""What is read of an answer's body to keep the connection; a longer or slower one is cut off with it."""

_MAX_WORDS_BYTES: Final = 200
"""What is shown of the body of a refusal."""


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """What a receiver said.

    Attributes:
        url: of the receiver, as messages show it.
        status: 2xx, or 4xx other than 429.
        fields: its header fields as they came, each with its line end.
        body: the beginning of its body, all of it unless it is long or late.
    """

    url: str
    status: int
    fields: bytes
    body: bytes

    def rejection(self) -> str | None:
        """Return what was said when the receiver will never take the request: one line, the body's first words."""
        if self.status < 300:
            return None
        words = " ".join(self.body[:_MAX_WORDS_BYTES].decode(errors="replace").split())
        printable = "".join(char for char in words if char.isprintable())
        return f"HTTP {self.status} from '{self.url}'" + (f": {printable}" if printable else "")


class HttpRequests:
    """Posts bodies to one endpoint.

    Args:
        endpoint: where to.
        headers: sent with every request, beside Host and Content-Length.
        action: how messages of failures begin, before the URL.
        waiter: all waiting.
        retried: statuses after which the same body may be taken later; None for all but 2xx, and 4xx other than 429.

    Raises:
        SinkOpenError: the file that SSL_CERT_FILE names cannot be read.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        headers: Mapping[str, str],
        action: str,
        waiter: Waiter,
        retried: frozenset[int] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._head = render_head(endpoint, headers)
        self._failed = f"{action} '{endpoint.url}' failed"
        self._waiter = waiter
        self._retried = retried
        self._context = _trust() if endpoint.secure else None
        self._socket: WaitingSocket | None = None
        self._asked = False
        # PERF: most answers are like the one before, byte by byte.
        self._usual: bytes | None = None
        self._usual_answer = ReceiverAnswer(endpoint.url, 0, b"", b"")

    def post(self, body: Sequence[bytes | memoryview]) -> ReceiverAnswer:
        """Post a body in parts; return the answer, which is 2xx, or 4xx other than 429.

        Raises:
            SinkError: any other status, or no answer.
        """
        if self._waiter.given_up:
            raise SinkError(f"{self._failed}: the scenario's time to stop is over")
        try:
            answer = self._exchange(body)
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            given_up = self._waiter.given_up
            cause = "no answer before the scenario had to stop" if given_up else cause_of(exc)
            raise SinkError(f"{self._failed}: {cause}", retriable=not given_up, in_doubt=self._asked) from exc
        status = answer.status
        if 200 <= status < 300 or (400 <= status < 500 and status != http.client.TOO_MANY_REQUESTS):
            return answer
        raise SinkError(
            f"HTTP {status} from '{self._endpoint.url}'",
            retriable=self._retried is None or status in self._retried,
            retry_after_secs=retry_after_secs(fields_of(answer.fields).get("retry-after"), time.time()),
        )

    def close(self) -> None:
        """Close the connection; safe twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, body: Sequence[bytes | memoryview]) -> ReceiverAnswer:
        """Send one request, connecting if need be, and return its answer."""
        self._asked = False
        connection = self._socket
        if connection is None or not connection.is_quiet():
            self.close()
            connection = self._socket = self._connected()
        connection.until = time.monotonic() + REQUEST_SECS
        length = len(body[0]) if len(body) == 1 else sum(map(len, body))
        head = b"%s%d\r\n\r\n" % (self._head, length)
        try:
            connection.send((head, *body), len(head) + length)
            self._asked = True
        except BrokenPipeError:
            # A receiver may answer before it has read everything, and then close.
            pass
        received = connection.receive()
        if received == self._usual:
            return self._usual_answer
        plain = plain_answer(received)
        if plain is not None:
            self._usual, self._usual_answer = received, ReceiverAnswer(self._endpoint.url, *plain)
            return self._usual_answer
        connection.put_back(received)
        return self._read(connection)

    def _read(self, connection: WaitingSocket) -> ReceiverAnswer:
        """Read an answer by the library."""
        answer = http.client.HTTPResponse(cast(socket.socket, connection), method="POST")
        answer.begin()
        body = b""
        keeps = not answer.will_close and answer.status >= 200
        if keeps:
            connection.until = time.monotonic() + _DRAIN_SECS
            try:
                body = answer.read(_DRAIN_BYTES)
            except (OSError, http.client.HTTPException):
                # The status has been read, and decides.
                keeps = False
        if not keeps or not answer.isclosed():
            self.close()
        fields = "".join(f"{name}: {value}\r\n" for name, value in answer.getheaders())
        return ReceiverAnswer(self._endpoint.url, answer.status, fields.encode("latin-1"), body)

    def _connected(self) -> WaitingSocket:
        endpoint = self._endpoint
        connection = WaitingSocket(connect(f"{endpoint.host}:{endpoint.port}", self._waiter), self._waiter)
        if self._context is not None:
            connection.until = time.monotonic() + CONNECT_SECS
            try:
                connection.encrypt(self._context, endpoint.host)
            except OSError:
                connection.close()
                raise
        return connection


def _trust() -> ssl.SSLContext:
    """Return what certificates are verified with: the system's roots and those that SSL_CERT_FILE names."""
    context = ssl.create_default_context()
    path = os.environ.get("SSL_CERT_FILE")
    if path:
        # OpenSSL has read it already, but says nothing when it could not.
        try:
            context.load_verify_locations(path)
        except OSError as exc:
            raise SinkOpenError(
                f"cannot read the certificates of SSL_CERT_FILE '{path}': {exc.strerror or exc}"
            ) from exc
    return context
