"""Writing events to a descriptor that needs no turn-taking: a file, the null device, a named pipe."""

import os
import stat
from errno import EAGAIN

from common.errors import SinkError, os_error_text
from worker.waiting import Waiter


def write_events(descriptor: int, payload: bytes, waiter: Waiter) -> None:
    """Write whole lines; what was cut short is taken back to the last whole line.

    Raises:
        SinkError: with the operating system's reason; in a regular file exactly `delivered_bytes` of `payload` stand.
    """
    written = 0
    try:
        while written < len(payload):
            try:
                written += os.write(descriptor, payload[written:] if written else payload)
            except BlockingIOError:
                if not waiter.until_writable(descriptor):
                    raise
    except OSError as exc:
        whole = payload.rfind(b"\n", 0, written) + 1
        if whole < written and stat.S_ISREG(os.fstat(descriptor).st_mode):
            end = os.lseek(descriptor, whole - written, os.SEEK_CUR)
            os.ftruncate(descriptor, end)
        raise SinkError(os_error_text(exc), delivered_bytes=whole) from exc


def timed_out() -> OSError:
    """Return the error of a wait that was given up."""
    return BlockingIOError(EAGAIN, os.strerror(EAGAIN))
