"""The plain answer to a request, read in one look; whatever is unusual about one is left to the library. Pure.

Nearly every answer to a push is a short head with a known length, all there at once; reading that takes a small part
of the time that `http.client` needs. Anything else is not read here: interim answers, chunks, a body of unknown length
or one that comes later, a connection to be closed, a length given twice, white space or characters where RFC 9112 has
none.

Source: RFC 9112, sections 2.2, 4, 5 and 6.3; RFC 9110, section 5.5.
"""

import re
from typing import Final

_PLAIN: Final = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*)\r\n"
)
_FRAMING: Final = re.compile(
    rb"^(content-length|transfer-encoding|connection):[\t ]*([^\r]*?)[\t ]*\r$", re.MULTILINE | re.IGNORECASE
)
_LENGTH: Final = re.compile(rb"[0-9]{1,6}")
_WITHOUT_BODY: Final = (b"204", b"304")


def plain_answer(received: bytes) -> tuple[int, bytes, bytes] | None:
    """Return status, header fields and body of the answer that `received` is, or None when it is no plain one.

    Args:
        received: what came first behind a request.
    """
    head = _PLAIN.match(received)
    if head is None:
        return None
    status, fields = head.groups()
    length: int | None = None
    for name, value in _FRAMING.findall(fields):
        if name[:2].lower() == b"co" and value.lower() == b"keep-alive":
            continue
        if length is not None or name.lower() != b"content-length" or not _LENGTH.fullmatch(value):
            return None
        length = int(value)
    if length is None and status in _WITHOUT_BODY:
        length = 0
    if length is None or len(received) - head.end() != length or (length and status in _WITHOUT_BODY):
        return None
    return int(status), fields, received[head.end() :]
