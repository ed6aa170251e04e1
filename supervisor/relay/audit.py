"""The audit log: one JSON line per request on stderr, written once per turn of the loop.

Source: relay contract, section 14.
"""

import os
import sys
from typing import Final

import msgspec

from supervisor.relay.loop import Loop

# A write of at most PIPE_BUF bytes is not torn by lines of other processes.
_MAX_WRITE_BYTES: Final = 4096


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `latency_ms` from the first byte to the answer."""

    audit: str = "request"
    time: str
    client: str
    request_id: str
    method: str
    path: str
    status: int
    code: str
    latency_ms: int
    bytes_in: int
    bytes_out: int
    pid: int | None
    uid: int | None
    gid: int | None
    duplicate: bool
    body: str | None = None


class Audit:
    """Collects lines and writes them whole; a line that the log cannot take is dropped, never waited for."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._lines: list[bytes] = []
        self._encode = msgspec.json.Encoder().encode

    def add(self, line: AuditLine) -> None:
        """Queue one line."""
        if not self._lines:
            self._loop.call_soon(self._write)
        self._lines.append(self._encode(line) + b"\n")

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        piece = b""
        for line in lines:
            if piece and len(piece) + len(line) > _MAX_WRITE_BYTES:
                _put(piece)
                piece = b""
            piece += line
        _put(piece)


def _put(octets: bytes) -> None:
    try:
        os.write(sys.stderr.fileno(), octets)
    except OSError:
        return  # nobody reads the log: the requests are served all the same
