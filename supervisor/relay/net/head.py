"""The head of an HTTP/1.1 request: start line, headers, and what they say about the body. Pure.

Source: RFC 9112, sections 3, 5 and 6; docs/relay.md, "Reports".
"""

import functools
import re
from typing import Final

import msgspec

from supervisor.relay.net.answer import Code, RefusedError, malformed

_TCHARS: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_START_LINE: Final = re.compile(rf"({_TCHARS}) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])")
_FIELD: Final = rf"({_TCHARS}):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[ \t\x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*"
HEADER: Final = re.compile(_FIELD)
_HEADERS: Final = re.compile(rf"^{_FIELD}\r\n", re.MULTILINE)
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_MAX_REMEMBERED_BYTES: Final = 1024


class Head(msgspec.Struct, frozen=True):
    """A head. `headers` by name in lower case, never changed.

    `body_bytes` is None when the body comes in chunks; `fault` says why there is no telling where the body ends.
    """

    method: str
    target: str
    headers: dict[str, list[str]]
    body_bytes: int | None = 0
    expects_continue: bool = False
    fault: tuple[int, Code, str] | None = None


def parse_head(octets: bytes) -> Head:
    """Return the head that `octets` hold: every line with its CRLF, without the empty one.

    Raises:
        RefusedError: it is no HTTP.
    """
    line, _, block = octets.decode("latin-1").partition("\r\n")
    start = _START_LINE.fullmatch(line)
    if start is None:
        raise malformed("malformed request line")
    fields = _HEADERS.findall(block)
    if len(fields) != block.count("\n"):
        raise malformed("malformed header line")
    headers: dict[str, list[str]] = {}
    for name, value in fields:
        headers.setdefault(name.lower(), []).append(value)
    method, target, minor = start.groups()
    try:
        body_bytes = _body_bytes(headers, minor)
    except RefusedError as refused:
        return Head(method, target, headers, fault=(refused.status, refused.code, refused.message))
    expected = [value.lower() for value in headers.get("expect", [])]
    return Head(method, target, headers, body_bytes, minor == "1" and expected == ["100-continue"])


# PERF: an agent sends the same head with most of its updates.
_parse_known_head: Final = functools.lru_cache(maxsize=64)(parse_head)


def read_head(octets: bytes) -> Head:
    """Return `parse_head(octets)`, from memory where possible."""
    return _parse_known_head(octets) if len(octets) <= _MAX_REMEMBERED_BYTES else parse_head(octets)


def _body_bytes(headers: dict[str, list[str]], minor: str) -> int | None:
    lengths = headers.get("content-length", [])
    codings = headers.get("transfer-encoding", [])
    if codings:
        if lengths:
            raise malformed("Content-Length together with Transfer-Encoding")
        if minor == "0":
            raise malformed("Transfer-Encoding in an HTTP/1.0 request")
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise RefusedError(501, "UnknownError", "unsupported Transfer-Encoding, expected chunked")
        return None
    if not lengths:
        return 0
    if len(set(lengths)) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise malformed("bad or conflicting Content-Length")
    return int(lengths[0])
