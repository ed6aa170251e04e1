"""Room on the disk that is kept for the end of entries: given up when the disk is full, so that the spool can drain."""

import contextlib
import os
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 8 << 20
_SHARE: Final = 16
_BLOCK_BYTES: Final = 4096


class Reserve:
    """A file of real blocks beside the store.

    Args:
        directory: where the store is.

    Attributes:
        size_bytes: its size, a small part of the file system. The log of the store must stay below it: then there is
            always room for folding the log into the file, and after that for deleting in the log that is free again.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "reserve"
        system = os.statvfs(directory)
        share = system.f_blocks * system.f_frsize // _SHARE
        self.size_bytes = max(min(MAX_BYTES, share) // _BLOCK_BYTES, 1) * _BLOCK_BYTES

    def hold(self) -> bool:
        """Take the room, when as much again stays free beside it; returns whether it is held now."""
        with contextlib.suppress(OSError):
            if self._path.stat().st_blocks * 512 >= self.size_bytes:
                return True
            system = os.statvfs(self._path.parent)
            if system.f_bavail * system.f_frsize < 2 * self.size_bytes:
                return False
        descriptor = -1
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.posix_fallocate(descriptor, 0, self.size_bytes)
        except OSError:
            self.give_up()
            return False
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return True

    def give_up(self) -> None:
        """Give the room to the store; nothing happens when it is not held."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
