"""Addresses and URLs: taken apart, and as people may see them.

Source: RFC 3986; RFC 1123, section 2.1, for host names.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

MASK: Final = "***"
"""What is shown in place of a secret."""

MAX_PORT: Final = 65_535

_HARMLESS_HEADERS: Final = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "cache-control", "content-encoding", "content-language"),
        *("content-length", "content-type", "date", "expect", "host", "te", "user-agent", "via"),
        *("stream-name", "vl-msg-field", "vl-stream-fields", "vl-time-field"),
        *("x-prometheus-remote-write-version", "x-scope-orgid"),
    }
)
_PARTS: Final = re.compile(
    r"(?P<scheme>(?:https?|ftp|tcp|udp|tls|ssl|grpcs?|kafka|unix|wss?):/+|/*)(?P<rest>.*)", re.DOTALL | re.IGNORECASE
)
_QUERY: Final = re.compile(r"[?#]")
_PARAMETER: Final = re.compile(r"([^&;=]*)(=?)([^&;]*)")
_HOST: Final = re.compile(r"[\w.:%~-]+", re.ASCII)


def shown_url(text: str, mask: str = MASK) -> str:
    """Return a URL or an address as people may see it: user information and the values of its query masked.

    Works on texts that are no proper URLs too. Whatever stands before the last `@` counts as user information, because
    a password may hold characters that end it for a parser.

    Args:
        text: of any kind.
        mask: what stands for user information.
    """
    match = _PARTS.fullmatch(text)
    assert match is not None  # noqa: S101 - both groups may be empty
    scheme, rest = match["scheme"], match["rest"]
    login, at, place = rest.rpartition("@")
    shown = f"{scheme}{mask}@" if at and login else f"{scheme}{at}"
    query = _QUERY.search(place)
    if query is None:
        return shown + place
    return shown + place[: query.start() + 1] + _PARAMETER.sub(_masked_parameter, place[query.end() :])


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return header fields as people may see them: every value is masked but those of fields that hold no secret."""
    return {name: value if name.lower() in _HARMLESS_HEADERS else MASK for name, value in headers.items()}


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`; the host without brackets.

    Raises:
        ValueError: it can never be connected to; the message says what it lacks and quotes nothing.
    """
    host, colon, port = text.rpartition(":")
    if not colon or (port.endswith("]") and host.startswith("[")):
        raise ValueError("it has no port; expected host:port")
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) <= MAX_PORT:
        raise ValueError(f"its port is not a number from 1 to {MAX_PORT}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    check_host(host)
    return host, int(port)


def split_url(url: str) -> SplitResult:
    """Return the parts of an http or https URL.

    Raises:
        ValueError: it can never be asked; the message says what it lacks and quotes nothing.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as exc:
        raise ValueError("its host cannot be read") from exc
    try:
        port = parts.port
    except ValueError as exc:
        raise ValueError(f"its port is not a number from 1 to {MAX_PORT}") from exc
    if port == 0:
        raise ValueError(f"its port is not a number from 1 to {MAX_PORT}")
    check_host(host)
    if not _HOST.fullmatch(host.encode("idna").decode()):
        raise ValueError("its host cannot be read")
    return parts


def check_host(host: str) -> None:
    """Refuse a text that is neither an IP address nor can be the name of a host.

    Raises:
        ValueError: what is wrong with it.
    """
    if not host:
        raise ValueError("it has no host")
    if any(char <= " " or char == "\x7f" for char in host):
        raise ValueError("its host holds a blank or a control character")
    if "/" in host or "@" in host:
        raise ValueError("its host cannot be read; expected host:port")
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as exc:
            raise ValueError("its host is no IPv6 address") from exc
        return
    try:
        name = host.encode("idna")
    except UnicodeError as exc:
        raise ValueError("its host is no host name: a part of it is empty or longer than 63 characters") from exc
    if len(name) > 253:
        raise ValueError("its host is no host name: it is longer than 253 characters")


def _masked_parameter(match: re.Match[str]) -> str:
    name, equals, value = match.groups()
    if equals:
        return f"{name}={MASK}" if value else f"{name}="
    return MASK if name else ""
