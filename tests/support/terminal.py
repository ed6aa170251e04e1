"""A real pseudo-terminal with a program on it, and the screen that a person would see."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte

PATIENCE_SECS = 120


class Terminal:
    """A program that runs on a terminal of its own.

    Args:
        command: what to run.
        cwd: where.
        environment: all of its variables.
        columns: of the window.
        lines: of the window.

    Attributes:
        raw: everything that came, escape sequences included.
        screen: what is shown now.
    """

    def __init__(
        self, command: list[str], cwd: Path, environment: dict[str, str], columns: int = 120, lines: int = 40
    ) -> None:
        self.raw = b""
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.code: int | None = None
        self.pid, self._master = pty.fork()
        if not self.pid:
            os.chdir(cwd)
            # Whoever runs the tests in the background lets them ignore Ctrl-C; a person at a terminal does not.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            self._resize(0, columns, lines)
            os.execvpe(command[0], command, environment)
        self._resize(self._master, columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        """Change the window, as a person does who drags it."""
        self.screen.resize(lines, columns)
        self._resize(self._master, columns, lines)
        os.kill(self.pid, signal.SIGWINCH)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def shown(self) -> str:
        """The lines of the screen that are not blank."""
        return "\n".join(line.rstrip() for line in self.screen.display if line.strip())

    def wait_for(self, holds: Callable[[str], bool], what: str) -> str:
        """Read until `holds` of the screen; returns it."""
        deadline = time.monotonic() + PATIENCE_SECS
        while not holds(shown := self.shown()):
            assert time.monotonic() < deadline, f"no {what} in time on:\n{shown}"
            assert self._read(0.2), f"the program ended without {what} on:\n{shown}"
        return shown

    def wait(self) -> int:
        """Read to the end of the program; returns its exit code."""
        deadline = time.monotonic() + PATIENCE_SECS
        while self._read(0.2):
            assert time.monotonic() < deadline, f"still running:\n{self.shown()}"
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def close(self) -> None:
        """End the program, whatever it does."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.code = -signal.SIGKILL
        os.close(self._master)

    def _read(self, timeout_secs: float) -> bool:
        """Take what comes within the time; False at the end."""
        if not select.select([self._master], [], [], timeout_secs)[0]:
            return True
        try:
            part = os.read(self._master, 65_536)
        except OSError:
            return False
        self.raw += part
        self._stream.feed(part)
        return bool(part)

    @staticmethod
    def _resize(descriptor: int, columns: int, lines: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
