"""Log lines on stderr that never make anybody wait.

::

    any thread ──format──► bounded queue ──one writing thread──► stderr

A full queue drops the newest line and counts it; a stderr that nobody reads blocks the writing thread alone, a closed
one drops and counts. Workers do not write to stderr, their lines travel to the supervisor as messages.

A line is ``<timestamp> <LEVEL> <target> <message> key=value …``; the target is the role's name and the module below its
package, as in ``sonda_server::http::scenarios``. In the journal its priority is in place of the timestamp.

Source: docs/operating.md, "Start" and "Log".
"""

import errno
import logging
import os
import re
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from common.printable import printable
from common.units import quote

QUEUE_LINES: Final = 10_000
LINE_BYTES: Final = 4096
"""One line is one write of at most PIPE_BUF bytes, so that lines of several processes never mix in a pipe."""

_LEVELS: Final = {
    "off": logging.CRITICAL + 10,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": 1,
}
_PRIORITIES: Final = {"ERROR": 3, "WARN": 4, "INFO": 6, "DEBUG": 7, "TRACE": 7}
_OWN_PACKAGES: Final = ("common", "worker", "supervisor")
_PLAIN: Final = re.compile(r"[^\s\"=]+")
_TRACEBACK_CHARS: Final = 3000


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log call whose line ends with ``key=value`` for each of `values`."""
    return {"fields": values}


class LevelFilter:
    """Which levels each target shows, from the text of `RUST_LOG`.

    Args:
        text: a level, or a comma list of ``target=level`` and at most one bare level; anything else means `info`.
            Targets that a list without a bare level does not name show errors only.
    """

    def __init__(self, text: str) -> None:
        self._default, self._levels = _parse_filter(text) or (logging.INFO, {})

    def lowest(self) -> int:
        """Return the lowest level any target shows."""
        return min(self._default, *self._levels.values()) if self._levels else self._default

    def level(self, target: str) -> int:
        """Return the level from which on `target` shows; the longest directive that names it or a parent decides."""
        while target:
            if target in self._levels:
                return self._levels[target]
            target = target.rpartition("::")[0]
        return self._default


def is_filter(text: str) -> bool:
    """Return whether `text` is one that `LevelFilter` understands."""
    return _parse_filter(text) is not None


def _parse_filter(text: str) -> tuple[int, dict[str, int]] | None:
    default: int | None = None
    levels = {}
    for directive in text.split(","):
        target, equals, level = (part.strip() for part in directive.rpartition("="))
        if level.lower() not in _LEVELS or bool(equals) != bool(target) or (not target and default is not None):
            return None
        if target:
            levels[target] = _LEVELS[level.lower()]
        else:
            default = _LEVELS[level.lower()]
    return logging.ERROR if default is None else default, levels


class LineWriter:
    """The bounded queue and its writing thread.

    Args:
        descriptor: where lines go.
        target: under which the writer reports dropped lines.
        capacity: how many lines may wait.
        to_journal: whether the descriptor is a stream of the systemd journal.

    Attributes:
        as_json: whether lines are JSON objects.
        dropped_total: how many lines were lost.
    """

    def __init__(self, descriptor: int, target: str, capacity: int = QUEUE_LINES, *, to_journal: bool = False) -> None:
        self.dropped_total = 0
        self.as_json = False
        self._to_journal = to_journal
        self._descriptor = descriptor
        self._target = target
        self._capacity = capacity
        self._lines: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._reported = 0
        self._thread = threading.Thread(target=self._write_lines, name="log-writer", daemon=True)
        self._thread.start()

    def line(self, level: int, target: str, message: str, shown: Mapping[str, Any]) -> bytes:
        """Return the line of what happens now, in the form that its destination wants."""
        form = json_line_of if self.as_json else line_of
        return form(None if self._to_journal else time.time_ns(), level, target, message, shown)

    def put(self, line: bytes) -> None:
        """Queue one line, or drop it when the queue is full; never waits for the destination."""
        with self._changed:
            if len(self._lines) < self._capacity and not self._closing:
                self._lines.append(line)
                self._changed.notify()
            else:
                self.dropped_total += 1

    def close(self, timeout_secs: float) -> None:
        """Write what is queued, for at most `timeout_secs`; later lines are dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_secs)

    def _write_lines(self) -> None:
        while (line := self._next_line()) is not None:
            if not self._write(line):
                with self._changed:
                    self.dropped_total += 1
            elif (dropped := self.dropped_total - self._reported) and self._report(dropped):
                self._reported += dropped

    def _next_line(self) -> bytes | None:
        with self._changed:
            while not self._lines and not self._closing:
                self._changed.wait()
            return self._lines.popleft() if self._lines else None

    def _report(self, dropped: int) -> bool:
        return self._write(self.line(logging.WARNING, self._target, f"{dropped} log lines dropped", {}))

    def _write(self, line: bytes) -> bool:
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except OSError as exc:
                if exc.errno != errno.EAGAIN:
                    return False
                # Another process that shares the descriptor made it non-blocking; this thread is the one that may wait.
                room = select.poll()
                room.register(self._descriptor, select.POLLOUT)
                room.poll()
        return True


class QueueHandler(logging.Handler):
    """Formats records where they are logged, and queues the lines.

    Args:
        role: first part of the target of our own modules.
        levels: what each target shows.
        writer: takes the lines.
    """

    def __init__(self, role: str, levels: LevelFilter, writer: LineWriter) -> None:
        super().__init__()
        self._role = role
        self._filter = levels
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's line, unless its target does not show that level."""
        target = target_of(record.name, self._role)
        if record.levelno < self._filter.level(target):
            return
        shown = dict(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            shown["error"] = str(record.exc_info[1]) or "it gives no reason"
            shown["traceback"] = logging.Formatter().formatException(record.exc_info)
        self.writer.put(self.writer.line(record.levelno, target, record.getMessage(), shown))


def target_of(logger_name: str, role: str) -> str:
    """Return the target of a logger: the role for our own packages, other names unchanged."""
    package, *modules = logger_name.split(".")
    return "::".join([role if package in _OWN_PACKAGES or package == "__main__" else package, *modules])


def line_of(wall_ns: int | None, level: int, target: str, message: str, shown: Mapping[str, Any]) -> bytes:
    """Return one line of at most LINE_BYTES, ending in its only line feed.

    Args:
        wall_ns: ns since the Unix epoch; None for the journal, which stamps lines itself and takes their priority from
            a prefix. Source: sd-daemon(3) of systemd.
        level: a level of the logging module.
        target: see the module's picture.
        message: control characters are escaped.
        shown: the fields; of a traceback the end is kept.
    """
    name = _level_name(level)
    head = f"<{_PRIORITIES[name]}>{name}" if wall_ns is None else f"{_instant(wall_ns)} {name:>5}"
    parts = [f"{head} {target} {printable(message)}"]
    for key, value in shown.items():
        text = str(value)[-_TRACEBACK_CHARS:] if key == "traceback" else str(value)
        parts.append(f"{key}={text if _PLAIN.fullmatch(text) and printable(text) == text else printable(quote(text))}")
    line = " ".join(parts).encode(errors="replace")
    if len(line) >= LINE_BYTES:
        line = line[: LINE_BYTES - 1].decode(errors="ignore").encode()
    return line + b"\n"


def json_line_of(wall_ns: int | None, level: int, target: str, message: str, shown: Mapping[str, Any]) -> bytes:
    """Return the same as an object with `time`, `level`, `target`, `message` and `fields`; arguments as `line_of`.

    What makes the line too long is cut, the longest text first; of texts other than the message the end is kept.
    """
    import json

    name = _level_name(level)
    head = f"<{_PRIORITIES[name]}>".encode() if wall_ns is None else b""
    said = {} if wall_ns is None else {"time": _instant(wall_ns)}
    texts = {key: value if isinstance(value, bool | int) else str(value) for key, value in shown.items()}
    while True:
        record = {**said, "level": name, "target": target, "message": message, "fields": texts}
        line = head + json.dumps(record, separators=(",", ":")).encode()
        if len(line) < LINE_BYTES:
            return line + b"\n"
        longest = max(texts, key=lambda key: len(str(texts[key])), default=None)
        if longest is None or len(message) >= len(str(texts[longest])):
            message = message[: len(message) // 2]
        else:
            text = str(texts[longest])
            texts[longest] = text[len(text) - len(text) // 2 :]


def _instant(wall_ns: int) -> str:
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest_ns // 1000:06d}Z"


def _level_name(level: int) -> str:
    return next((name for name in ("error", "warn", "info", "debug") if level >= _LEVELS[name]), "trace").upper()


def is_journal(descriptor: int, environment: Mapping[str, str]) -> bool:
    """Return whether `descriptor` is the stream that the service manager connected to the journal.

    Source: $JOURNAL_STREAM in systemd.exec(5): device and inode number of the stream.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def setup_logging(role: str, filter_text: str | None = None) -> LineWriter:
    """Send all log records of this process to stderr; the first call of a process that logs.

    Args:
        role: the name under which our own modules appear, `sonda_server` for the control plane.
        filter_text: in place of the environment's `RUST_LOG`.

    Returns:
        The writer, to be closed as the last thing before the process ends.
    """
    descriptor = sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
    writer = LineWriter(descriptor, f"{role}::logs", to_journal=is_journal(descriptor, os.environ))
    show(role, os.environ.get("RUST_LOG", "info") if filter_text is None else filter_text, writer)
    return writer


def show(role: str, filter_text: str, writer: LineWriter) -> None:
    """Show what a filter lets through from now on; arguments as `setup_logging`."""
    levels = LevelFilter(filter_text)
    root = logging.getLogger()
    root.handlers[:] = [QueueHandler(role, levels, writer)]
    root.setLevel(levels.lowest())
