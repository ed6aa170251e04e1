"""One HTTP request over one connection, within one deadline for all from the name server to the last byte.

The request is one send. An answer that is whole and plain when its first bytes arrive, as nearly all are, is read in
one look; any other is read by `http.client`, over a socket that looks at the deadline before every receive: an answer
that trickles in, never ends its header or sends one interim answer after the other takes its time and no more.
Blocking; never for an event loop.

Source: RFC 9110, section 15.2; RFC 9112.
"""

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from common.errors import SondadError
from common.http_answer import fields_of, plain_answer, received_stream
from common.name_lookup import Addresses, NameLookup, numeric_addresses

_MAX_HEAD_BYTES: Final = 64 << 10
# A chunk of one byte takes six.
_MAX_BYTES_PER_BODY_BYTE: Final = 8
_SWITCHING_PROTOCOLS: Final = 101
_RECEIVE_BYTES: Final = 64 << 10


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
        timeout_secs: for everything together.
        max_body_bytes: what is read of the body at most.
        headers: beside `Host`, `Content-Length` and `Connection: close`; names and values are sent as they are.
        body: None for a request without one.
        tls: for `https`.

    Raises:
        RoundtripError: with the address and the reason.
    """
    deadline = time.monotonic() + timeout_secs
    content = body or b""
    length = "" if body is None else f"Content-Length: {len(content)}\r\n"
    fields = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    start = f"{method} {target.prefix}{path} HTTP/1.1\r\nHost: {_authority(target)}\r\nConnection: close\r\n"
    try:
        with _connect(target, deadline, tls) as sock:
            sock.settimeout(_remaining(deadline))
            sock.sendall(f"{start}{fields}{length}\r\n".encode("ascii") + content)
            sock.settimeout(_remaining(deadline))
            received = sock.recv(_RECEIVE_BYTES)
            answer = _plain(received, max_body_bytes)
            if answer is None:
                max_bytes = _MAX_HEAD_BYTES + _MAX_BYTES_PER_BODY_BYTE * max_body_bytes
                answer = _any(_TimedSocket(sock, deadline, max_bytes, received), max_body_bytes)
            return answer
    except (OSError, ValueError, http.client.HTTPException) as exc:
        raise RoundtripError(f"{target.url}: {_reason(exc, timeout_secs)}") from exc


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}" if target.port else host


def _plain(received: bytes, max_body_bytes: int) -> Response | None:
    """Return the answer that `received` holds as a whole, None when it must be read in another way."""
    plain = plain_answer(received, is_last=True)
    if plain is None or len(plain[2]) > max_body_bytes:
        return None
    status, fields, body = plain
    return Response(status, fields_of(fields), body)


def _any(sock: "_TimedSocket", max_body_bytes: int) -> Response:
    with _FinalResponse(sock) as answer:  # type: ignore[arg-type]
        answer.begin()
        body = answer.read(max_body_bytes)
        if answer.length and len(body) < max_body_bytes:
            raise http.client.IncompleteRead(body)
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)


def _connect(target: Target, deadline: float, tls: ssl.SSLContext | None) -> socket.socket:
    if target.scheme == "unix":
        return _connected(socket.AF_UNIX, target.path, deadline)
    failure: OSError = OSError("the name has no address")
    for family, _, _, _, address in _addresses(target, deadline):
        try:
            sock = _connected(family, address, deadline)
        except OSError as exc:
            failure = exc
            continue
        return sock if tls is None else _encrypted(sock, tls, target.host, deadline)
    raise failure


def _addresses(target: Target, deadline: float) -> Addresses:
    known = numeric_addresses(target.host, target.port, socket.SOCK_STREAM)
    if known is not None:
        return known
    answered = threading.Event()
    lookup = NameLookup(target.host, target.port, socket.SOCK_STREAM, answered.set)
    answered.wait(_remaining(deadline))
    return lookup.addresses()


def _connected(family: socket.AddressFamily, address: Any, deadline: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(_remaining(deadline))
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def _encrypted(sock: socket.socket, tls: ssl.SSLContext, host: str, deadline: float) -> socket.socket:
    try:
        sock.settimeout(_remaining(deadline))
        return tls.wrap_socket(sock, server_hostname=host)
    except (OSError, ValueError):
        sock.close()
        raise


def _reason(exc: Exception, timeout_secs: float) -> str:
    match exc:
        case TimeoutError():
            return f"no answer within {timeout_secs:g} s"
        case http.client.RemoteDisconnected() | ConnectionResetError():
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
    """What `http.client` uses of a socket, with a deadline and a bound for what is received in all.

    Args:
        sock: connected.
        deadline: monotonic.
        max_bytes: more than that is an answer without end.
        received: what was received already; an empty one says that the peer has closed.
    """

    def __init__(self, sock: socket.socket, deadline: float, max_bytes: int, received: bytes) -> None:
        self._sock = sock
        self._deadline = deadline
        self._left = max_bytes
        self._received = received
        self._is_over = not received

    def makefile(self, _mode: str) -> io.BufferedReader:
        return received_stream(self)

    def recv_into(self, buffer: Any) -> int:
        if self._is_over:
            return 0
        if self._received:
            count = min(len(buffer), len(self._received))
            buffer[:count] = self._received[:count]
            self._received = self._received[count:]
        else:
            self._sock.settimeout(_remaining(self._deadline))
            count = self._sock.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise ValueError("an answer without end")
        return count


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining
