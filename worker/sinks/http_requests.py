"""HTTP requests of a sink over one connection, kept alive.

The standard library writes requests and reads answers; connecting and every wait are the worker's own, so that no
receiver, however slow or broken, can keep it from noticing a stop. Source: docs/sinks.md, "What the answer means".
"""

import http.client
import os
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, cast

from common.errors import SinkError, SinkOpenError
from worker.control.waiting import Waiter
from worker.sinks.connect import connect
from worker.sinks.endpoint import Endpoint
from worker.sinks.http_causes import cause_of
from worker.sinks.resolve import CONNECT_SECS
from worker.sinks.waiting_socket import WaitingSocket

REQUEST_SECS: Final = 30.0

_DRAIN_SECS: Final = 1.0
_DRAIN_BYTES: Final = 64 * 1024
"""What is read of an answer's body to keep the connection; a longer or slower one is cut off with it."""


class HttpRequests:
    """Posts bodies to one endpoint.

    Args:
        endpoint: where to.
        headers: sent with every request, beside Host and Content-Length.
        action: how messages of failures begin, before the URL.
        waiter: all waiting.

    Raises:
        SinkOpenError: the file that SSL_CERT_FILE names cannot be read.
    """

    def __init__(self, endpoint: Endpoint, headers: Mapping[str, str], action: str, waiter: Waiter) -> None:
        self._endpoint = endpoint
        self._headers = headers
        self._failed = f"{action} '{endpoint.url}' failed"
        self._waiter = waiter
        self._context = _trust() if endpoint.secure else None
        self._client = (
            http.client.HTTPConnection(endpoint.host, endpoint.port)
            if self._context is None
            else http.client.HTTPSConnection(endpoint.host, endpoint.port, context=self._context)
        )
        self._socket: WaitingSocket | None = None

    def post(self, body: bytes) -> int:
        """Post `body`; return the status, which is 2xx, or 4xx other than 429.

        Raises:
            SinkError: any other status, or no answer.
        """
        if self._waiter.given_up:
            raise SinkError(f"{self._failed}: the scenario's time to stop is over")
        try:
            status = self._exchange(body)
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            if self._waiter.given_up:
                raise SinkError(f"{self._failed}: no answer before the scenario had to stop") from exc
            raise SinkError(f"{self._failed}: {cause_of(exc)}", retriable=True) from exc
        if 200 <= status < 300 or (400 <= status < 500 and status != http.client.TOO_MANY_REQUESTS):
            return status
        raise SinkError(f"HTTP {status} from '{self._endpoint.url}'", retriable=True)

    def refusal(self, kind: str, status: int) -> str:
        """Return the log line of a batch that was refused for good by the receiver of a `kind` sink."""
        return f"sonda: {kind} sink: received HTTP {status} from '{self._endpoint.url}'; discarding batch"

    def close(self) -> None:
        """Close the connection; safe twice."""
        self._client.close()
        self._socket = None

    def _exchange(self, body: bytes) -> int:
        """Send one request, connecting if need be, and return the status of its answer."""
        if self._socket is None or not self._socket.is_quiet():
            self.close()
            self._socket = self._connected()
            self._client.sock = cast(socket.socket, self._socket)
        self._socket.until = time.monotonic() + REQUEST_SECS
        # PERF: the library writes head and body apart; corked, the receiver is woken once instead of twice.
        self._socket.cork(on=True)
        # A receiver may answer before it has read everything, and then close.
        with suppress(BrokenPipeError):
            self._client.request("POST", self._endpoint.target, body, self._headers)
        self._socket.cork(on=False)
        answer = self._client.getresponse()
        if not self._drain(answer, self._socket):
            self.close()
        return answer.status

    def _connected(self) -> WaitingSocket:
        endpoint = self._endpoint
        connection = WaitingSocket(connect(f"{endpoint.host}:{self._client.port}", self._waiter), self._waiter)
        if self._context is not None:
            connection.until = time.monotonic() + CONNECT_SECS
            try:
                connection.encrypt(self._context, endpoint.host)
            except OSError:
                connection.close()
                raise
        return connection

    def _drain(self, answer: http.client.HTTPResponse, connection: WaitingSocket) -> bool:
        """Read the rest of an answer; False when the connection cannot be used again."""
        if answer.will_close or answer.status < 200:
            return False
        connection.until = time.monotonic() + _DRAIN_SECS
        try:
            answer.read(_DRAIN_BYTES)
        except (OSError, http.client.HTTPException):
            # The status has been read, and decides.
            return False
        return answer.isclosed()


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
