"""One HTTP request over one connection, within one deadline that covers everything from connect to the last byte.

`http.client` over a socket that looks at the deadline before every receive: an answer that trickles in, never ends its
header or sends one interim answer after the other takes its time and no more. Blocking; never for an event loop.

Source: RFC 9110, section 15.2; RFC 9112.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from common.errors import SondadError

_MAX_HEAD_BYTES: Final = 64 << 10
# A chunk of one byte takes six.
_MAX_BYTES_PER_BODY_BYTE: Final = 8
_SWITCHING_PROTOCOLS: Final = 101


class RoundtripError(SondadError):
    """No usable answer: not connected, timed out, cut off or not HTTP."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server listens: `path` for a Unix socket, else host and port; `prefix` precedes every request path."""

    url: str
    scheme: Literal["http", "https", "unix"]
    host: str
    port: int
    path: str
    prefix: str


class Response(msgspec.Struct, frozen=True):
    """An answer; header names in lower case, the last of equal ones."""

    status: int
    headers: dict[str, str]
    body: bytes


def unix_target(path: str) -> Target:
    """Return the target of the Unix socket at `path`."""
    return Target(url=f"unix:{path}", scheme="unix", host="localhost", port=0, path=path, prefix="")


def roundtrip(
    target: Target,
    method: str,
    path: str,
    *,
    timeout_secs: float,
    max_body_bytes: int,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    tls: ssl.SSLContext | None = None,
) -> Response:
    """Send one request and return the answer, its body cut at `max_body_bytes`.

    Args:
        target: the server; its prefix goes before `path`.
        method: upper case.
        path: percent-encoded, with its query.
        timeout_secs: for everything together. The name server alone has its own time.
        max_body_bytes: what is read of the body at most.
        headers: beside `Host`, `Content-Length` and `Connection: close`.
        body: None for a request without one.
        tls: for `https`.

    Raises:
        RoundtripError: with the address and the reason.
    """
    deadline = time.monotonic() + timeout_secs
    try:
        with _connect(target, deadline, tls) as sock:
            connection = http.client.HTTPConnection(target.host, target.port or None)
            connection.response_class = _FinalResponse
            connection.sock = _TimedSocket(sock, deadline, _MAX_HEAD_BYTES + _MAX_BYTES_PER_BODY_BYTE * max_body_bytes)
            connection.request(method, target.prefix + path, body, {"Connection": "close", **(headers or {})})
            return _response(connection.getresponse(), max_body_bytes)
    except (OSError, ValueError, http.client.HTTPException) as exc:
        raise RoundtripError(f"{target.url}: {_reason(exc, timeout_secs)}") from exc


def _response(answer: http.client.HTTPResponse, max_body_bytes: int) -> Response:
    with answer:
        octets = answer.read(max_body_bytes)
        if answer.length and len(octets) < max_body_bytes:
            raise http.client.IncompleteRead(octets)
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, octets)


def _connect(target: Target, deadline: float, tls: ssl.SSLContext | None) -> socket.socket:
    if target.scheme != "unix":
        sock = socket.create_connection((target.host, target.port), timeout=_remaining(deadline))
    else:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(_remaining(deadline))
        if target.scheme == "unix":
            sock.connect(target.path)
        return sock if tls is None else tls.wrap_socket(sock, server_hostname=target.host)
    except (OSError, ValueError):
        sock.close()
        raise


def _reason(exc: Exception, timeout_secs: float) -> str:
    match exc:
        case TimeoutError():
            return f"no answer within {timeout_secs:g} s"
        case http.client.RemoteDisconnected():
            return "connection closed before the answer"
        case http.client.IncompleteRead():
            return "connection closed inside the answer"
        case ssl.SSLError():
            return str(exc)
        case http.client.HTTPException() | ValueError():
            return "the answer is not HTTP"
        case OSError():
            return exc.strerror or str(exc)
    return str(exc)


class _FinalResponse(http.client.HTTPResponse):
    """The answer after all interim ones; the library skips `100` alone."""

    def begin(self) -> None:
        super().begin()
        while self.status < 200 and self.status != _SWITCHING_PROTOCOLS:
            # Without a head it reads the next one.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


class _TimedSocket:
    """What `http.client` uses of a socket, with a deadline and a bound for what is received in all."""

    def __init__(self, sock: socket.socket, deadline: float, max_bytes: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._left = max_bytes

    def sendall(self, octets: bytes) -> None:
        self._sock.settimeout(_remaining(self._deadline))
        self._sock.sendall(octets)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self))

    def recv_into(self, buffer: Any) -> int:
        self._sock.settimeout(_remaining(self._deadline))
        received = self._sock.recv_into(buffer)
        self._left -= received
        if self._left < 0:
            raise ValueError("an answer without end")
        return received

    def close(self) -> None:
        """Leave the socket open: the library closes it before the answer is read."""


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: _TimedSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining
