"""Addresses of the configuration file, and the files that it names: read with the rest, so that faults show at once.

Source: examples/relay.yaml.
"""

import ipaddress
import os
import pwd
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from common.urls import shown_url
from supervisor.host.roundtrip import Target, unix_target
from supervisor.reading.nodes import Node
from supervisor.relay.config.values import abs_path, id_or_name, text
from supervisor.relay.net.unixsock import MAX_PATH_BYTES

NO_TARGET: Final = unix_target("")


class TcpAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A TCP address to listen on; port 0 lets the kernel choose."""

    host: str
    port: int


class UnixAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A Unix socket path with its file mode."""

    path: str
    mode: int


def header_text(node: Node) -> str:
    """Read what may stand in a header."""
    value = text(node)
    if not value or value != value.strip() or not value.isascii() or not value.isprintable():
        raise ValueError(f"expected printable ASCII without blanks at its ends, found {value[:60]!r}")
    return value


def user(node: Node) -> int:
    """Return the uid that a number or the name of a user stands for."""
    value = id_or_name(node)
    if isinstance(value, int):
        return value
    try:
        return pwd.getpwnam(value).pw_uid
    except KeyError as exc:
        raise ValueError(f"no such user: {value}") from exc


def tcp_or_unix(node: Node) -> TcpAddress | UnixAddress:
    """Read where to listen; the mode of a socket file is told elsewhere."""
    value = text(node)
    if not value.startswith("unix:"):
        return _tcp_address(value)
    return UnixAddress(path=_unix_path(value), mode=0)


def loopback_address(node: Node) -> TcpAddress:
    """Read a TCP address that no other machine can reach."""
    address = _tcp_address(text(node))
    try:
        loopback = address.host == "localhost" or ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"expected a loopback address, found {address.host!r}")
    return address


def secret_file(node: Node) -> str:
    """Return the token in the file that is named."""
    path = abs_path(node)
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except UnicodeDecodeError as exc:
        raise ValueError(f"cannot read the token from {path}: it is not ASCII") from exc
    except OSError as exc:
        raise ValueError(f"cannot read the token from {path}: {exc.strerror}") from exc
    if not token or not token.isprintable() or " " in token:
        raise ValueError(f"expected one printable ASCII token without blanks in {path}")
    return token


def certificate_file(node: Node) -> str:
    """Return the content of a file of certificates that TLS can use: whatever is wrong with it shows here."""
    path = abs_path(node)
    try:
        pem = Path(path).read_text(encoding="ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (OSError, ValueError) as exc:
        raise ValueError(f"cannot use {path}: {exc}; expected certificates in PEM form") from exc
    return pem


def parent_url(node: Node) -> Target:
    """Read where a parent relay listens."""
    url = text(node)
    if url.startswith("unix:"):
        return unix_target(_unix_path(url))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise ValueError("not a URL: its host or port cannot be read") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or not url.isprintable():
        raise ValueError(
            f"expected http://host:port, https://host:port or unix:/abs/path, found {shown_url(url)[:60]!r}"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("expected no user, query or fragment in the URL; a token belongs into token_file")
    return Target(
        url=url,
        scheme="https" if parts.scheme == "https" else "http",
        host=parts.hostname,
        port=port or (443 if parts.scheme == "https" else 80),
        path="",
        prefix=parts.path.rstrip("/"),
    )


def _unix_path(address: str) -> str:
    path = address.removeprefix("unix:")
    if not path.startswith("/") or len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise ValueError(f"expected unix:/abs/path of at most {MAX_PATH_BYTES} bytes, found {address[:200]!r}")
    return path


def _tcp_address(value: str) -> TcpAddress:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not port.isascii() or int(port) > 65535:
        raise ValueError(f"expected host:port, found {value[:60]!r}")
    return TcpAddress(host=host.removeprefix("[").removesuffix("]"), port=int(port))
