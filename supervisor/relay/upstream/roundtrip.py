"""One HTTP request over one connection, within one deadline that covers everything from connect to the last byte.

Blocking; for sender threads and for the control plane's threads, never for the relay's loop.

Source: RFC 9112; docs/relay.md, "Forwarding" and "Beside the control plane".
"""

import re
import socket
import ssl
import time
from typing import Final

import msgspec

from common.errors import SondadError
from supervisor.relay.config.records import Target

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_MAX_HEAD_BYTES: Final = 64 << 10
_RECV_BYTES: Final = 64 << 10


class RoundtripError(SondadError):
    """No usable answer: not connected, timed out, cut off or not HTTP."""


class Response(msgspec.Struct, frozen=True):
    """An answer; header names in lower case, the last of equal ones."""

    status: int
    headers: dict[str, str]
    body: bytes


def roundtrip(
    target: Target, request: bytes, timeout_secs: float, max_body_bytes: int, tls: ssl.SSLContext | None = None
) -> Response:
    """Send `request` to `target` and return the answer, its body cut at `max_body_bytes`.

    Raises:
        RoundtripError: with the address and the reason.
    """
    deadline = time.monotonic() + timeout_secs
    try:
        with _connect(target, deadline, tls) as sock:
            _allow(sock, deadline)
            sock.sendall(request)
            return _read_response(sock, deadline, max_body_bytes)
    except (OSError, ValueError) as exc:
        reason = f"no answer within {timeout_secs:g} s" if isinstance(exc, TimeoutError) else str(exc)
        raise RoundtripError(f"{target.url}: {reason}") from exc


def _connect(target: Target, deadline: float, tls: ssl.SSLContext | None) -> socket.socket:
    if target.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _allow(sock, deadline)
            sock.connect(target.path)
        except OSError:
            sock.close()
            raise
        return sock
    sock = socket.create_connection((target.host, target.port), timeout=_remaining(deadline))
    if tls is None:
        return sock
    try:
        _allow(sock, deadline)
        return tls.wrap_socket(sock, server_hostname=target.host)
    except (OSError, ValueError):
        sock.close()
        raise


def _read_response(sock: socket.socket, deadline: float, max_body_bytes: int) -> Response:
    buffer = bytearray()
    while True:
        while (end := _head_end(buffer)) < 0:
            if len(buffer) > _MAX_HEAD_BYTES:
                raise ValueError("answer with an endless header")
            if not _receive(sock, deadline, buffer):
                raise ConnectionError("connection closed before the answer")
        status, headers = _parse_head(bytes(buffer[:end]))
        del buffer[:end]
        if status >= 200:
            break
    length = headers.get("content-length")
    if status == 204:
        expected = 0
    elif length is None or "transfer-encoding" in headers:
        expected = -1
    elif length.isdecimal() and len(length) < 19:
        expected = int(length)
    else:
        raise ValueError("answer with a bad Content-Length")
    wanted = max_body_bytes if expected < 0 else min(expected, max_body_bytes)
    while len(buffer) < wanted and _receive(sock, deadline, buffer):
        pass
    if expected >= 0 and len(buffer) < wanted:
        raise ConnectionError("connection closed inside the answer")
    return Response(status, headers, bytes(buffer[:wanted]))


def _head_end(buffer: bytearray) -> int:
    for mark in (b"\r\n\r\n", b"\n\n"):
        at = buffer.find(mark)
        if at >= 0:
            return at + len(mark)
    return -1


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    match = _STATUS_LINE.match(head)
    if match is None:
        raise ValueError("answer is not HTTP")
    headers = {}
    for line in head[match.end() :].decode("latin-1").splitlines():
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(match[1]), headers


def _receive(sock: socket.socket, deadline: float, buffer: bytearray) -> bool:
    _allow(sock, deadline)
    octets = sock.recv(_RECV_BYTES)
    buffer += octets
    return bool(octets)


def _allow(sock: socket.socket, deadline: float) -> None:
    sock.settimeout(_remaining(deadline))


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining
