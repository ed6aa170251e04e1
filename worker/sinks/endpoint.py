"""The URL a sink posts to, taken apart once. Source: sinks contract, sections 2, 5 and 12."""

from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import unquote

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from common.errors import SinkOpenError
from common.urls import mask_userinfo


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
        parts = parse_url(url + suffix)
    except LocationParseError as exc:
        raise ValueError("its host or port cannot be read") from exc
    if not parts.host:
        raise ValueError("it has no host")
    return Endpoint(
        url=mask_userinfo(url + suffix),
        secure=parts.scheme == "https",
        host=parts.host.strip("[]"),
        port=parts.port,
        target=parts.request_uri,
        authorization=None if parts.auth is None else f"Basic {b64encode(unquote(parts.auth).encode()).decode()}",
    )
