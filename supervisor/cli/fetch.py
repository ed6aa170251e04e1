"""One HTTP request within one time, without proxies, redirects or retries."""

import base64
import http.client
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from common.errors import SondadError, os_error_text

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
_CHUNK: Final = 65_536

REDACTED: Final = "<redacted>"
"""What stands for user information in texts of the command line."""


class FetchError(SondadError):
    """No answer; the text says why, without the address."""


class Fetched(NamedTuple):
    """An answer."""

    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes


def fetch(
    url: str,
    timeout_secs: float,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
) -> Fetched:
    """Return the answer to one request on a connection of its own.

    Args:
        url: `http` or `https`; userinfo becomes Basic authentication.
        timeout_secs: for everything together.
        method: of the request.
        headers: in the case given; they win over those made here.
        body: what is sent.

    Raises:
        FetchError: the address is none, or no whole answer came in time.
    """
    parts = _split(url)
    deadline = time.monotonic() + timeout_secs
    connection = _connection(parts, timeout_secs)
    try:
        connection.connect()
        _allow_until(connection, deadline)
        connection.putrequest(method, _target(parts), skip_accept_encoding=True)
        given = {name.lower() for name, _ in headers}
        for name, value in (*_own_headers(parts, body), *headers):
            if (name, value) in headers or name.lower() not in given:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Fetched(answer.status, answer.reason, answer.headers, _read(connection, answer, deadline))
    except TimeoutError as exc:
        raise FetchError(f"no answer within {timeout_secs:g} s") from exc
    except ssl.SSLError as exc:
        raise FetchError(f"TLS failed: {exc.reason or exc}") from exc
    except socket.gaierror as exc:
        raise FetchError(f"cannot resolve {parts.hostname}: {exc.strerror}") from exc
    except OSError as exc:
        raise FetchError(os_error_text(exc)) from exc
    except (http.client.HTTPException, ValueError) as exc:
        raise FetchError(f"not an HTTP answer: {exc!r}" if not str(exc) else f"not an HTTP answer: {exc}") from exc
    finally:
        connection.close()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as exc:
        raise FetchError(f"not a URL: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise FetchError("not a URL: expected http://HOST or https://HOST")
    return parts


def _connection(parts: SplitResult, timeout_secs: float) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(str(parts.hostname), parts.port, timeout=timeout_secs)


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _own_headers(parts: SplitResult, body: bytes | None) -> list[tuple[str, str]]:
    own = [("Accept", "application/json")]
    if body is not None:
        own.append(("Content-Length", str(len(body))))
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        own.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
    return own


def _read(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        _allow_until(connection, deadline)
        part = answer.read1(_CHUNK)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise FetchError(f"the answer has more than {MAX_ANSWER_BYTES} bytes")


def _allow_until(connection: http.client.HTTPConnection, deadline: float) -> None:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    if connection.sock is not None:
        connection.sock.settimeout(remaining)
