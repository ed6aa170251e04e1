"""What the supervisor asks of the C library for its memory. Source: mallopt(3)."""

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_MMAP_THRESHOLD_BYTES: Final = 128 * 1024


def return_large_blocks() -> None:
    """Let every block of 128 KiB or more go back to the system as soon as it is freed.

    By itself glibc raises that size to whatever was freed once, up to 32 MiB, and from then on each thread keeps what
    it has freed of the columns of replays: hundreds of megabytes, for as long as the process lives. Other C libraries
    have no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
