"""HTTP requests of a sink, made by a thread of their own, so that no receiver can make a worker deaf.

::

    main thread    post(body) ──────► queue ──────► sender thread: connect, TLS, send, read the status
                   waits through the waiter ◄── eventfd ◄── status or SinkError

One request at a time over one connection, kept alive; while the thread works the main thread waits, so the two never
compete. When the time for a request is over, or a stop's, the main thread cuts the connection and forgets the thread,
which ends as soon as the system call it sits in returns; the next request gets a new one.

Source: sinks contract, section 5.
"""

import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import Final

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from common.errors import SinkError, SinkOpenError
from worker.sinks.endpoint import Endpoint
from worker.sinks.http_causes import cause_of
from worker.waiting import Waiter

CONNECT_SECS: Final = 10.0
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
        waiter: for the wait until a request is over.

    Raises:
        SinkOpenError: the file that SSL_CERT_FILE names cannot be read.
    """

    def __init__(self, endpoint: Endpoint, headers: Mapping[str, str], action: str, waiter: Waiter) -> None:
        self._endpoint = endpoint
        self._headers = headers
        self._failed = f"{action} '{endpoint.url}' failed"
        self._waiter = waiter
        self._context = _trust() if endpoint.secure else None
        self._sender: _Sender | None = None

    def post(self, body: bytes) -> int:
        """Post `body`; return the status, which is 2xx, or 4xx other than 429.

        Raises:
            SinkError: any other status, or no answer.
        """
        if self._waiter.given_up:
            raise SinkError(f"{self._failed}: the scenario's time to stop is over")
        if self._sender is None:
            self._sender = _Sender(self._endpoint, self._headers, self._context)
        if not self._sender.begin(body, self._waiter):
            self.close()
            if self._waiter.given_up:
                raise SinkError(f"{self._failed}: no answer before the scenario had to stop")
            raise SinkError(f"{self._failed}: no answer within {REQUEST_SECS:g} s", retriable=True)
        outcome = self._sender.outcome()
        if isinstance(outcome, Exception):
            raise SinkError(f"{self._failed}: {cause_of(outcome)}", retriable=True) from outcome
        if 200 <= outcome < 300 or (400 <= outcome < 500 and outcome != http.client.TOO_MANY_REQUESTS):
            return outcome
        raise SinkError(f"HTTP {outcome} from '{self._endpoint.url}'", retriable=True)

    def close(self) -> None:
        """Close the connection, also under a request; safe twice."""
        if self._sender is not None:
            self._sender.dismiss()
            self._sender = None

    def refusal(self, kind: str, status: int) -> str:
        """Return the log line of a batch that was refused for good by the receiver of a `kind` sink."""
        return f"sonda: {kind} sink: received HTTP {status} from '{self._endpoint.url}'; discarding batch"


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


class _Sender:
    """One thread with one connection."""

    def __init__(self, endpoint: Endpoint, headers: Mapping[str, str], context: ssl.SSLContext | None) -> None:
        self._target = endpoint.target
        self._headers = headers
        self._connection = (
            HTTPSConnection(endpoint.host, endpoint.port, ssl_context=context)
            if endpoint.secure
            else HTTPConnection(endpoint.host, endpoint.port)
        )
        self._bodies: SimpleQueue[bytes | None] = SimpleQueue()
        self._outcomes: SimpleQueue[int | Exception] = SimpleQueue()
        self._done = os.eventfd(0, os.EFD_CLOEXEC)
        self._dismissed = False
        threading.Thread(target=self._serve, name="http sender", daemon=True).start()

    def begin(self, body: bytes, waiter: Waiter) -> bool:
        """Start a request and wait for its end; False when it did not end in time."""
        self._bodies.put(body)
        if not waiter.until_readable(self._done, REQUEST_SECS):
            return False
        os.eventfd_read(self._done)
        return True

    def outcome(self) -> int | Exception:
        """Return the status or the exception of the request that has ended."""
        return self._outcomes.get()

    def dismiss(self) -> None:
        """Let the thread end, at once when it sits in a socket call."""
        self._dismissed = True
        self._bodies.put(None)
        sock = self._connection.sock
        if sock is not None:
            # Wakes the thread; it closes what it owns.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        """Run in the thread."""
        try:
            while not self._dismissed and (body := self._bodies.get()) is not None:
                try:
                    self._outcomes.put(self._post(body))
                except Exception as exc:  # noqa: BLE001 - the delivery of one batch: whatever it is goes to the waiting thread
                    self._connection.close()
                    self._outcomes.put(exc)
                os.eventfd_write(self._done, 1)
        finally:
            self._connection.close()
            os.close(self._done)

    def _post(self, body: bytes) -> int:
        connection = self._connection
        if not connection.is_connected:
            connection.close()
            connection.timeout = CONNECT_SECS
            connection.connect()
        if self._dismissed:
            raise TimeoutError
        connection.timeout = REQUEST_SECS
        # A receiver may answer before it has read everything, and then close.
        with suppress(BrokenPipeError):
            connection.request(
                "POST", self._target, body=body, headers=self._headers, preload_content=False, decode_content=False
            )
        response = connection.getresponse()
        status = response.status
        if not self._drain(response):
            connection.close()
        return status

    def _drain(self, response: HTTPResponse) -> bool:
        """Read the rest of an answer; False when the connection cannot be used again."""
        sock = self._connection.sock
        if sock is None or response.status < 200:
            return False
        until = time.monotonic() + _DRAIN_SECS
        left = _DRAIN_BYTES
        try:
            while left > 0 and (secs := until - time.monotonic()) > 0:
                sock.settimeout(secs)
                chunk = response.read1(left)
                if not chunk:
                    return True
                left -= len(chunk)
        except (OSError, HTTPError, http.client.HTTPException):
            # The status has been read, and decides.
            return False
        return False
