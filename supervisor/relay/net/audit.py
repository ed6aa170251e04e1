"""The audit log: one JSON line per request, handed to the log writer many at a time.

Source: docs/relay.md, "As a service".
"""

from typing import Final

import msgspec

from common.logs import LINE_BYTES, LineWriter
from supervisor.host.loop import Loop
from supervisor.relay.checks.state import utc_text

# Paths are cut, so that a line stays one write.
MAX_PATH_CHARS: Final = 1024
# PERF: waking the writing thread for every request costs more than the request's own checks.
_MAX_DELAY_SECS: Final = 0.05


class AuditLine(msgspec.Struct, kw_only=True):
    """One request. `latency_ms` from the accept to the answer; `time` is filled in when the line is written."""

    audit: str = "request"
    time: str | None = None
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
    """Collects lines; one that the log cannot take is dropped, never waited for."""

    def __init__(self, loop: Loop, writer: LineWriter) -> None:
        self._loop = loop
        self._writer = writer
        self._lines: list[tuple[int, AuditLine]] = []
        self._encode = msgspec.json.Encoder().encode

    def add(self, at_ms: int, line: AuditLine) -> None:
        """Queue the line of a request that was answered `at_ms` milliseconds after the Unix epoch."""
        if not self._lines:
            self._loop.after(_MAX_DELAY_SECS, self.flush)
        self._lines.append((at_ms, line))

    def flush(self) -> None:
        """Hand over what is queued."""
        lines, self._lines = self._lines, []
        piece = b""
        for at_ms, line in lines:
            line.time = utc_text(at_ms)
            encoded = self._encode(line) + b"\n"
            if piece and len(piece) + len(encoded) > LINE_BYTES:
                self._writer.put(piece)
                piece = b""
            piece += encoded
        if piece:
            self._writer.put(piece)
