"""Writing events to a descriptor that needs no turn-taking: a file, the null device, a named pipe."""

import os
import stat
from errno import EAGAIN

from common.errors import SinkError, os_error_text
from worker.control.waiting import Waiter
from worker.ticks.batch import Encoded


def write_events(descriptor: int, encoded: Encoded, waiter: Waiter) -> None:
    """Write all events; in a regular file, what was cut short is taken back to the last whole event.

    Raises:
        SinkError: with the operating system's reason; exactly `delivered_bytes` of a regular file's payload stand.
    """
    payload = encoded.payload
    written = 0
    try:
        while written < len(payload):
            try:
                written += os.write(descriptor, payload[written:] if written else payload)
            except BlockingIOError:
                if not waiter.until_writable(descriptor):
                    raise
    except OSError as exc:
        whole = encoded.whole(written)
        if whole < written and stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.ftruncate(descriptor, os.lseek(descriptor, whole - written, os.SEEK_CUR))
        raise SinkError(os_error_text(exc), delivered_bytes=whole) from exc


def timed_out() -> OSError:
    """Return the error of a wait that was given up."""
    return BlockingIOError(EAGAIN, os.strerror(EAGAIN))
