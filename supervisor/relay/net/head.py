"""The head of an HTTP/1.1 request: start line, headers, and what they say about the body. Pure.

Source: RFC 9112, sections 3, 5 and 6; docs/relay.md, "Reports".
"""

import functools
import re
from typing import Final

import msgspec

from supervisor.relay.net.answer import Code, RefusedRequestError, malformed

_TCHARS: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_START_LINE: Final = re.compile(rf"({_TCHARS}) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])")
_TOKEN: Final = re.compile(_TCHARS)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
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


def parse_head(raw: bytes) -> Head:
    """Return the head that `raw` holds: every line with its CRLF, without the empty one.

    Raises:
        RefusedError: it is no HTTP.
    """
    line, _, block = raw.decode("latin-1").partition("\r\n")
    start = _START_LINE.fullmatch(line)
    if start is None or not _is_target(start[2]):
        raise malformed("malformed request line")
    headers: dict[str, list[str]] = {}
    for text in block.split("\r\n")[:-1]:
        field = parse_field(text)
        if field is None:
            raise malformed("malformed header line")
        headers.setdefault(field[0], []).append(field[1])
    method, target, minor = start.groups()
    if len(headers.get("host", ())) > 1:
        return Head(method, target, headers, fault=(400, "InvalidHeader", "Host given twice"))
    try:
        body_bytes = _body_bytes(headers, minor)
    except RefusedRequestError as refused:
        return Head(method, target, headers, fault=(refused.status, refused.code, refused.message))
    expected = [value.lower() for value in headers.get("expect", [])]
    return Head(method, target, headers, body_bytes, minor == "1" and expected == ["100-continue"])


def parse_field(line: str) -> tuple[str, str] | None:
    """Return the name in lower case and the value of a header or trailer line, None for anything else.

    The time grows with the length of the line and no faster, whatever stands in it: strangers send lines, too.
    """
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.fullmatch(name) or _CONTROL.search(value):
        return None
    return name.lower(), value.strip(" \t")


# PERF: an agent sends the same head with most of its updates.
_parse_known_head: Final = functools.lru_cache(maxsize=64)(parse_head)


def read_head(raw: bytes) -> Head:
    """Return `parse_head(raw)`, from memory where possible."""
    return _parse_known_head(raw) if len(raw) <= _MAX_REMEMBERED_BYTES else parse_head(raw)


def _is_target(text: str) -> bool:
    """Return whether `text` is a path, an absolute URI or `*`; what a CONNECT names is for proxies."""
    return text[0] == "/" or text == "*" or "://" in text


def _body_bytes(headers: dict[str, list[str]], minor: str) -> int | None:
    lengths = headers.get("content-length", [])
    codings = headers.get("transfer-encoding", [])
    if codings:
        if lengths:
            raise malformed("Content-Length together with Transfer-Encoding")
        if minor == "0":
            raise malformed("Transfer-Encoding in an HTTP/1.0 request")
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise RefusedRequestError(501, "UnknownError", "unsupported Transfer-Encoding, expected chunked")
        return None
    if not lengths:
        return 0
    if len(set(lengths)) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise malformed("bad or conflicting Content-Length")
    return int(lengths[0])
