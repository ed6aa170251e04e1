"""What is wrong with the head of a request: framing that two servers could read differently, or that is no HTTP. Pure.

Whatever is refused here is answered at once and ends its connection, so that nothing behind it can be taken for a
request. Source: RFC 9112, sections 2.2, 2.3, 3, 5, 6, 7.1 and 9.3; RFC 9110, sections 7.2 and 8.6.
"""

import re
from http import HTTPStatus
from typing import Final, NamedTuple

MAX_HEAD_BYTES: Final = 16 * 1024

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_FIRST_BYTE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z\r]")
_START_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])")
_FIELD: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_BARE_END: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_TARGET: Final = re.compile(rb"/.*|https?://[^/?#@]+(?:[/?#].*)?", re.IGNORECASE)
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]{0,5})?")
_LENGTH: Final = re.compile(rb"[0-9]+")
_MAX_LENGTH_DIGITS: Final = 18
_MAX_CHUNK_LINE_BYTES: Final = 1024
_MAX_TRAILER_BYTES: Final = 4 * 1024
_RETRY_SECS: Final = "1"


class HeadFault(NamedTuple):
    """Why a head is refused.

    Attributes:
        status: of the answer.
        text: for the client.
    """

    status: int
    text: str

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of the answer."""
        headers = [("Content-Type", "text/plain; charset=utf-8")]
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append(("Retry-After", _RETRY_SECS))
        return headers


class StartLine(NamedTuple):
    """The first line of a head that is not refused."""

    method: str
    target: str
    minor_version: int


def early_fault(received: bytes) -> HeadFault | None:
    """Return what is wrong with a head of which only the beginning may have come; a body may follow it."""
    end = received.find(b"\r\n\r\n")
    head = received if end < 0 else received[:end]
    if head and not _FIRST_BYTE.match(head) and not head.startswith(b"\n"):
        return HeadFault(400, "this is no HTTP request")
    # The last byte may be the first of a CR LF.
    return HeadFault(400, "lines end with CR LF") if _BARE_END.search(head) else None


def head_fault(head: bytes) -> HeadFault | None:
    """Return what is wrong with a whole head: every line with its CR LF, the empty one included or not."""
    first, *lines = head.removesuffix(b"\r\n\r\n").removesuffix(b"\r\n").split(b"\r\n")
    start = _START_LINE.fullmatch(first)
    if start is None:
        return HeadFault(400, "malformed request line")
    method, target, major, minor = start.groups()
    if major != b"1":
        return HeadFault(505, "this server speaks HTTP/1.1")
    if not _TARGET.fullmatch(target) and (method, target) != (b"OPTIONS", b"*"):
        return HeadFault(400, "the request target is no URI of this server")
    values: dict[bytes, list[bytes]] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            return HeadFault(400, "malformed header line")
        values.setdefault(field[1].lower(), []).append(field[2].strip(b" \t"))
    hosts = values.get(b"host", [])
    if len(hosts) > 1 or (not hosts and minor != b"0") or not all(_HOST.fullmatch(host) for host in hosts):
        return HeadFault(400, "a request names its host once")
    return _framing_fault(values.get(b"content-length", []), values.get(b"transfer-encoding", []), minor)


def start_line(head: bytes) -> StartLine:
    """Return the first line of a head that has no fault."""
    start = _START_LINE.match(head)
    assert start is not None  # noqa: S101 - it has no fault
    return StartLine(start[1].decode("latin-1"), start[2].decode("latin-1"), min(int(start[4]), 1))


def ends_connection(options: str, minor_version: int) -> bool:
    """Return whether no other request follows, by the values of the Connection headers."""
    names = [name.strip().lower() for name in options.split(",")]
    return "close" in names or (minor_version == 0 and "keep-alive" not in names)


def chunk_fault(line: bytes, trailer: bytes) -> HeadFault | None:
    """Return what is wrong with the size line and the trailer of a chunked body, as far as they have come."""
    if len(line) > _MAX_CHUNK_LINE_BYTES or len(trailer) > _MAX_TRAILER_BYTES:
        return HeadFault(400, "chunk size or trailer without end")
    if b"\n" in line or trailer.count(b"\n") != trailer.count(b"\r\n"):
        return HeadFault(400, "lines end with CR LF")
    return None


def _framing_fault(lengths: list[bytes], codings: list[bytes], minor: bytes) -> HeadFault | None:
    if codings:
        if lengths:
            return HeadFault(400, "Content-Length together with Transfer-Encoding")
        if minor == b"0":
            return HeadFault(400, "Transfer-Encoding in an HTTP/1.0 request")
        names = [name.strip(b" \t").lower() for coding in codings for name in coding.split(b",")]
        if names.count(b"chunked") > 1:
            return HeadFault(400, "chunked twice")
        if names != [b"chunked"]:
            return HeadFault(501, "unsupported Transfer-Encoding, expected chunked")
        return None
    if len(set(lengths)) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        return HeadFault(400, "bad or conflicting Content-Length")
    if lengths and len(lengths[0].lstrip(b"0")) > _MAX_LENGTH_DIGITS:
        return HeadFault(413, "Content-Length is beyond all bounds")
    return None
