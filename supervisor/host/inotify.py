"""What the kernel tells of single files: who opens, closes, moves or changes them.

Source: inotify(7).
"""

import ctypes
import os
import struct
from typing import Final, NamedTuple

ATTRIBUTES: Final = 0x0004
"""Times, mode or owner were changed, or a name of the file was given to it or taken from it."""

CLOSED_AFTER_WRITING: Final = 0x0008
CLOSED_AFTER_READING: Final = 0x0010
OPENED: Final = 0x0020
MOVED: Final = 0x0800

_EVENT: Final = struct.Struct("iIII")
_READ_BYTES: Final = 64 << 10
_libc: Final = ctypes.CDLL(None, use_errno=True)


class FileEvent(NamedTuple):
    """What happened to a file; `watch` is the number that `add` returned, -1 when events were lost."""

    watch: int
    kinds: int


class Inotify:
    """A queue of events.

    Attributes:
        descriptor: readable when there are events.

    Raises:
        OSError: the user has too many of them.
    """

    def __init__(self) -> None:
        self.descriptor: int = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, path: str, kinds: int) -> int:
        """Watch the file at `path` itself, by whichever name it is used later; return the number of the watch.

        Raises:
            OSError: there is no such file, or the user watches too many.
        """
        return _checked(_libc.inotify_add_watch(self.descriptor, os.fsencode(path), ctypes.c_uint32(kinds)))

    def read(self) -> list[FileEvent]:
        """Return the events so far, oldest first; equal ones in a row are one."""
        try:
            raw = os.read(self.descriptor, _READ_BYTES)
        except BlockingIOError:
            return []
        events, at = [], 0
        while at < len(raw):
            watch, kinds, _, name_bytes = _EVENT.unpack_from(raw, at)
            events.append(FileEvent(watch, kinds))
            at += _EVENT.size + name_bytes
        return events

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
