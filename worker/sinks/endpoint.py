"""The URL a sink posts to, taken apart once.

Source: RFC 3986; docs/scenarios.md, "Sinks"; docs/sinks.md, "What the answer means" and "How to see it".
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from common.errors import SinkOpenError
from common.urls import mask_userinfo

_HOST: Final = re.compile(r"[\w.:%~-]+", re.ASCII)
_SAFE: Final = "/%:@!$&'()*+,;=~?"
"""What a path or query may hold as it is; the rest is escaped, escapes stay."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go.

    Attributes:
        url: the URL as messages show it, a password in it masked.
        secure: whether the connection is TLS.
        host: name or address, IPv6 without brackets.
        port: None for the scheme's own.
        target: path and query.
        authorization: value of the Authorization header that the URL's user information asks for, or None.
    """

    url: str
    secure: bool
    host: str
    port: int | None
    target: str
    authorization: str | None


def parse_endpoint(url: str, noun: str, suffix: str = "") -> Endpoint:
    """Return the parts of `url` with `suffix` behind it.

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
        raise SinkOpenError(f"invalid {noun} URL '{mask_userinfo(url)}': {exc}") from exc


def _endpoint(url: str, suffix: str) -> Endpoint:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    try:
        parts = urlsplit(url + suffix)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError as exc:
        raise ValueError("its host or port cannot be read") from exc
    if not host:
        raise ValueError("it has no host")
    if not _HOST.fullmatch(host):
        raise ValueError("its host or port cannot be read")
    query = f"?{quote(parts.query, _SAFE)}" if parts.query else ""
    return Endpoint(
        url=mask_userinfo(url + suffix),
        secure=parts.scheme == "https",
        host=host,
        port=port,
        target=quote(parts.path or "/", _SAFE) + query,
        authorization=None if parts.username is None else _basic(parts),
    )


def _basic(parts: SplitResult) -> str:
    credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(credentials.encode()).decode()}"
