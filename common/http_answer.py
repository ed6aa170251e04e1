"""Answers of HTTP servers: the plain one, read in one look, and what the library needs to read any other.

Nearly every answer to a push is a short head with a known length, all there at once; reading that takes a small part
of the time that `http.client` needs. Anything else is left to the library: interim answers, chunks, a body of unknown
length or one that comes later, a length given twice, white space or characters where RFC 9112 has none.

Source: RFC 9112, sections 2.2, 4, 5 and 6.3; RFC 9110, sections 5.5 and 10.2.3.
"""

import io
import re
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

_PLAIN: Final = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*)\r\n"
)
_FRAMING: Final = re.compile(
    rb"^(content-length|transfer-encoding|connection):[\t ]*([^\r]*?)[\t ]*\r$", re.MULTILINE | re.IGNORECASE
)
_LENGTH: Final = re.compile(rb"[0-9]{1,6}")
_WITHOUT_BODY: Final = (b"204", b"304")
_MAX_SECS_DIGITS: Final = 9
"""Thirty years; more digits are no time."""


def plain_answer(received: bytes, *, is_last: bool = False) -> tuple[int, bytes, bytes] | None:
    """Return status, header fields and body of the answer that `received` is, or None when it is no plain one.

    Args:
        received: what came first behind a request other than HEAD.
        is_last: whether the connection may close behind it; else an answer that says so is none.
    """
    head = _PLAIN.match(received)
    if head is None:
        return None
    status, fields = head.groups()
    length: int | None = None
    kept = (b"keep-alive", b"close") if is_last else (b"keep-alive",)
    for name, value in _FRAMING.findall(fields):
        if name.lower() == b"connection" and value.lower() in kept:
            continue
        if length is not None or name.lower() != b"content-length" or not _LENGTH.fullmatch(value):
            return None
        length = int(value)
    if length is None and status in _WITHOUT_BODY:
        length = 0
    if length is None or len(received) - head.end() != length or (length and status in _WITHOUT_BODY):
        return None
    return int(status), fields, received[head.end() :]


def fields_of(fields: bytes) -> dict[str, str]:
    """Return header fields by their names in lower case, the last of equal ones.

    Args:
        fields: as they came, each with its line end.
    """
    pairs = (line.partition(":") for line in fields.decode("latin-1").split("\r\n") if line)
    return {name.lower(): value.strip(" \t") for name, _, value in pairs}


def retry_after_secs(value: str | None, now: float) -> float:
    """Return how long a server asks to be left alone; 0 when it does not ask, or in words that nobody can read.

    Args:
        value: of its `Retry-After`.
        now: seconds since the epoch.
    """
    if value is None:
        return 0.0
    if value.isascii() and value.isdecimal():
        return float(value.lstrip("0")[:_MAX_SECS_DIGITS] or "0")
    try:
        moment_secs = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        # A text that is no date, a year of twenty digits, a zone of years: all that a server may send.
        return 0.0
    return max(moment_secs - now, 0.0)


class Receiving(Protocol):
    """The receiving side of a connection."""

    def recv_into(self, buffer: Any, /) -> int:
        """Receive at least one byte, or 0 at the end."""
        ...


def received_stream(receiving: Receiving) -> io.BufferedReader:
    """Return what is received as the file that `http.client` reads; closing it leaves the connection open."""
    return io.BufferedReader(_Received(receiving))


class _Received(io.RawIOBase):
    def __init__(self, receiving: Receiving) -> None:
        self._receiving = receiving

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._receiving.recv_into(buffer)
