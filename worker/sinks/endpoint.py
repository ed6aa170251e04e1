"""The URL a sink posts to, taken apart once.

Source: RFC 3986; docs/scenarios.md, "Sinks"; docs/sinks.md, "What the answer means" and "How to see it".
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote

from common.errors import SinkOpenError
from common.urls import shown_url, split_url

_PATH_END: Final = re.compile(r"[?#]")
_SAFE: Final = "/%:@!$&'()*+,;=~?"
"""What a path or query may hold as it is; the rest is escaped, escapes stay."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go.

    Attributes:
        url: the URL as messages show it, secrets in it masked.
        secure: whether the connection is TLS.
        host: name or address, IPv6 without brackets.
        port: as written, or the scheme's own.
        authority: host and port as the Host field has them, the scheme's own port left out.
        target: path and query.
        authorization: value of the Authorization header that the URL's user information asks for, or None.
    """

    url: str
    secure: bool
    host: str
    port: int
    authority: str
    target: str
    authorization: str | None


def parse_endpoint(url: str, noun: str, suffix: str = "") -> Endpoint:
    """Return the parts of `url` with `suffix` behind its path.

    Args:
        url: as written.
        noun: what the URL is, for messages.
        suffix: what the protocol appends.

    Raises:
        SinkOpenError: it is no http or https URL with a host; the message says what it lacks.
    """
    try:
        return _endpoint(url, suffix)
    except ValueError as exc:
        raise SinkOpenError(f"invalid {noun} URL '{shown_url(url)}': {exc}") from exc


def _endpoint(url: str, suffix: str) -> Endpoint:
    # What the protocol appends belongs to the path, before a query.
    path_end = _PATH_END.search(url)
    cut = path_end.start() if path_end else len(url)
    full_url = url[:cut] + suffix + url[cut:]
    parts = split_url(full_url)
    host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    default_port = 443 if parts.scheme == "https" else 80
    shown_host = f"[{host}]" if ":" in host else host
    query = f"?{quote(parts.query, _SAFE)}" if parts.query else ""
    return Endpoint(
        url=shown_url(full_url),
        secure=parts.scheme == "https",
        host=host,
        port=default_port if port is None else port,
        authority=shown_host if port in (None, default_port) else f"{shown_host}:{port}",
        target=quote(parts.path or "/", _SAFE) + query,
        authorization=None if parts.username is None else _basic(parts),
    )


def _basic(parts: SplitResult) -> str:
    credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(credentials.encode()).decode()}"
