"""What slices of processor time a thread has asked for. Source: sched_getattr(2)."""

import ctypes
import os
import platform
import struct

import pytest

_SYSTEM_CALL = {"x86_64": 315, "aarch64": 275}
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
_libc = ctypes.CDLL(None, use_errno=True)

needs_slices = pytest.mark.skipif(
    platform.machine() not in _SYSTEM_CALL or tuple(int(part) for part in platform.release().split(".")[:2]) < (6, 12),
    reason="this kernel has no slices for ordinary threads",
)


def slice_ns(thread: int) -> int:
    """Return the length of its slices in ns; a process stands for its main thread.

    Raises:
        OSError: it is gone.
    """
    answer = ctypes.create_string_buffer(_ATTRIBUTES.size)
    if _libc.syscall(_SYSTEM_CALL[platform.machine()], thread, answer, _ATTRIBUTES.size, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    length: int = _ATTRIBUTES.unpack(answer.raw)[5]
    return length
