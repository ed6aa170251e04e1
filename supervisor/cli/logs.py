"""Log lines of a command: on stderr, `warn` and above unless `RUST_LOG` says otherwise.

Lines about a sink's trouble and about a catalog are texts for users, and stand there as they are. What the engine says
of its workers is left out: the command itself reports how they ended. Source: docs/command-line.md, "Streams".
"""

import logging
import os
import sys
import time
from types import TracebackType
from typing import Final, Self

from common.logs import LevelFilter, line_of, target_of

_ROLE: Final = "sonda"
_PLAIN: Final = ("sonda: ", "warning: ")
_DEFAULT: Final = "warn,sonda::engine=error"
_QUIET: Final = "error"


class CommandLogs(logging.Handler):
    """Writes log lines while a command runs.

    Args:
        quiet: whether only errors are wanted; lines for users are written all the same.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__()
        self._levels = LevelFilter(os.environ.get("RUST_LOG") or (_QUIET if quiet else _DEFAULT))

    def __enter__(self) -> Self:
        root = logging.getLogger()
        root.handlers[:] = [self]
        root.setLevel(min(self._levels.lowest(), logging.WARNING))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        logging.getLogger().handlers.remove(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; nothing happens when nobody reads it."""
        message = record.getMessage()
        if message.startswith(_PLAIN):
            line = f"{message}\n"
        else:
            target = target_of(record.name, _ROLE)
            if record.levelno < self._levels.level(target):
                return
            shown = dict(getattr(record, "fields", {}))
            line = line_of(time.time_ns(), record.levelno, target, message, shown).decode(errors="replace")
        try:
            sys.stderr.write(line)
        except OSError:
            return
